using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.HostPartition.Ahci.Controller;

/// <summary>The disk behind the port: write cache, capacity, and a full device.</summary>
public class AhciDiskTests
{
    private const ulong A = AhciMachine.Data;

    private static HostToDeviceFis SetFeature(AtaFeature feature) => AhciMachine.Fis(AtaCommand.SetFeatures, features: (byte)feature);

    private static void AwaitWaiting(RecordingPortDriver port)
    {
        var attempts = port.Attempts;
        AhciMachine.WaitUntil(() => port.Attempts >= attempts + 2);
    }

    [Fact]
    public void The_write_cache_decides_when_writes_are_flushed()
    {
        var port = new RecordingPortDriver();
        using var machine = new AhciMachine(port).Start();
        machine.Run(AhciMachine.Fis(AtaCommand.WriteDmaExt, 8, 2), (A, 1024));
        machine.Run(AhciMachine.Fis(AtaCommand.WriteDmaFuaExt, 16, 1), (A, 512));
        machine.Run(AhciMachine.Fis(AtaCommand.FlushCacheExt));
        Assert.Equal(["write 8+2", "write 16+1", "flush", "flush"], port.Requests);

        port.ClearRequests();
        Assert.Equal(PortInterrupt.DHRS, machine.Run(SetFeature(AtaFeature.DisableWriteCache)));
        machine.Run(AhciMachine.Fis(AtaCommand.WriteDmaExt, 8, 2), (A, 1024));
        Assert.Equal(["flush", "write 8+2", "flush"], port.Requests);
        // Another front end's writes are durable too while this one's cache is off.
        Assert.Equal(DiskStatus.Ok, machine.Disk.WriteZeroes(1, 1, false, new SharedFlag()));
        Assert.Equal("flush", port.Requests[^1]);
        Assert.Equal(PortInterrupt.DHRS, machine.Run(SetFeature(AtaFeature.EnableWriteCache)));
        machine.Run(AhciMachine.Fis(AtaCommand.WriteDmaExt, 8, 2), (A, 1024));
        Assert.Equal("write 8+2", port.Requests[^1]);
    }

    [Fact]
    public void A_disk_without_a_write_cache_reports_none_and_flushes_every_write()
    {
        var port = new RecordingPortDriver();
        using var machine = new AhciMachine(port, writeCache: false).Start();
        var id = new IdentifyData(machine.Identify());
        Assert.False(id.HasWriteCache || id.IsWriteCacheEnabled);
        machine.Run(AhciMachine.Fis(AtaCommand.WriteDmaExt, 8, 2), (A, 1024));
        Assert.Equal(["write 8+2", "flush"], port.Requests);
        Assert.Equal(PortInterrupt.DHRS, machine.Run(SetFeature(AtaFeature.DisableWriteCache)));
        Assert.Equal(PortInterrupt.TFES, machine.Run(SetFeature(AtaFeature.EnableWriteCache)) & PortInterrupt.TFES);
        Assert.Equal(AtaError.ABRT, machine.Error);
    }

    [Fact]
    public void A_write_cache_whose_flush_fails_stays_on()
    {
        var port = new RecordingPortDriver { IsBroken = true };
        using var machine = new AhciMachine(port).Start();
        Assert.Equal(PortInterrupt.TFES, machine.Run(SetFeature(AtaFeature.DisableWriteCache)) & PortInterrupt.TFES);
        Assert.Equal(AtaStatus.DF, machine.Status & AtaStatus.DF);
        machine.Recover();
        Assert.True(new IdentifyData(machine.Identify()).IsWriteCacheEnabled);
    }

    [Fact]
    public void IDENTIFY_reports_the_physical_block()
    {
        using var machine = new AhciMachine(new RecordingPortDriver()).Start();
        var id = new IdentifyData(machine.Identify());
        Assert.Equal((512L, 4096L), (id.LogicalSectorBytes, id.PhysicalSectorBytes));
    }

    /// <summary>4Kn: addresses, counts, TRIM ranges and the capacity are in logical sectors, as blk_size is on the ring path.</summary>
    [Fact]
    public void With_logical_blocks_of_4096_bytes_all_addresses_are_in_them()
    {
        // 9 blocks and 3 sectors more, which neither path reaches.
        var port = new RecordingPortDriver((9 * 8 + 3) * 512);
        using var machine = new AhciMachine(port, blockBytes: 4096).Start();
        var id = new IdentifyData(machine.Identify());
        Assert.Equal((4096L, 4096L, 9UL, 72UL), (id.LogicalSectorBytes, id.PhysicalSectorBytes, id.Sectors, machine.Disk.SectorCount));
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.WriteDmaExt, 3, 2), (A, 8192)));
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 8, 1), (A, 4096)));
        BitConverter.TryWriteBytes(machine.Memory.GetSpan(A, 512), 5UL | 2UL << 48);
        machine.Memory.GetSpan(A + 8, 504).Clear();
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.DataSetManagement, 0, 1, features: 1), (A, 512)));
        Assert.Equal(["write 24+16", "read 64+8", "discard 40+16"], port.Requests);
        Assert.Equal(PortInterrupt.TFES, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 8, 2), (A, 8192)) & PortInterrupt.TFES);
        Assert.Equal(AtaError.IDNF, machine.Error);
    }

    [Fact]
    public void A_write_waits_for_free_space_and_completes()
    {
        var port = new RecordingPortDriver { Room = 1 };
        using var machine = new AhciMachine(port, waitForRoom: true).Start();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.WriteDmaExt, 8, 2), (A, 1024));
        machine.Issue(1);
        AwaitWaiting(port);
        Assert.Equal(1u, machine.Issued);
        port.Room = int.MaxValue;
        AhciMachine.WaitUntil(() => machine.Issued == 0);
        Assert.Equal(["write 8+1", "write 9+1"], port.Requests);
        Assert.Equal(AtaStatus.Ready, machine.Status);
    }

    [Fact]
    public void A_reset_cancels_a_wait_for_free_space_and_aborts_the_command()
    {
        var port = new RecordingPortDriver { Room = 0 };
        using var machine = new AhciMachine(port, waitForRoom: true).Start();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.WriteDmaExt, 8, 2), (A, 1024));
        machine.Issue(1);
        AwaitWaiting(port);
        machine.Controller.Reset();
        port.Room = int.MaxValue;
        machine.Start();
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.WriteDmaExt, 30, 1), (A, 512)));
        Assert.Equal(["write 30+1"], port.Requests);
    }

    [Fact]
    public void IDENTIFY_reports_a_new_size_after_the_next_power_on_only()
    {
        var port = new RecordingPortDriver(2 << 20) { NewBytes = 1 << 20 };
        using var machine = new AhciMachine(port);
        machine.Disk.Refresh();
        machine.Controller.Reset();
        machine.Start();
        static ulong SectorsOf(byte[] identify) => BitConverter.ToUInt64(identify, 200);
        Assert.Equal(2048UL, SectorsOf(machine.Identify()));
        port.NewBytes = 2 << 20;
        machine.Disk.Refresh();
        Assert.Equal(2048UL, SectorsOf(machine.Identify()));
        Assert.NotEqual(PortInterrupt.None, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 2048, 1), (A, 512)) & PortInterrupt.TFES);
        machine.Controller.Reset();
        machine.Controller.SetMemory(machine.Memory);
        machine.Start();
        Assert.Equal(4096UL, SectorsOf(machine.Identify()));
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 4095, 1), (A, 512)));

        // What the disk has lost cannot be read, whatever IDENTIFY said.
        port.NewBytes = 1 << 20;
        machine.Disk.Refresh();
        Assert.Equal(4096UL, SectorsOf(machine.Identify()));
        Assert.NotEqual(PortInterrupt.None, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 2048, 1), (A, 512)) & PortInterrupt.TFES);
        Assert.Equal(AtaError.IDNF, machine.Error & AtaError.IDNF);
    }

    [Fact]
    public void Stopping_the_port_cancels_a_wait_for_free_space()
    {
        var port = new RecordingPortDriver { Room = 0 };
        using var machine = new AhciMachine(port, waitForRoom: true).Start();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.WriteDmaExt, 8, 2), (A, 1024));
        machine.Issue(1);
        AwaitWaiting(port);
        machine.Port(PortRegister.PxCMD, (uint)PortCommand.FRE);
        AhciMachine.WaitUntil(() => (machine.Command & PortCommand.CR) == 0);
        Assert.Empty(port.Requests);
    }

    [Fact]
    public void A_write_that_waits_for_free_space_goes_on_when_the_memory_changes()
    {
        var port = new RecordingPortDriver { Room = 1 };
        using var machine = new AhciMachine(port, waitForRoom: true).Start();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.WriteDmaExt, 8, 2), (A, 1024));
        machine.Prepare(1, AhciMachine.Fis(AtaCommand.WriteDmaExt, 40, 1), (A, 512));
        machine.Issue(0b11);
        AwaitWaiting(port);
        // Another map of the same memory, as after a guest's change elsewhere in its memory map.
        using var again = new GuestMemory(machine.Memory.Regions);
        machine.Controller.SetMemory(again);
        Assert.Equal(0b11u, machine.Issued);
        port.Room = int.MaxValue;
        AhciMachine.WaitUntil(() => machine.Issued == 0);
        Assert.Equal(["write 8+1", "write 9+1", "write 40+1"], port.Requests);

        // Without memory the command fails when the disk has finished it.
        port.Room = 0;
        machine.Issue(0b11);
        AwaitWaiting(port);
        machine.Controller.SetMemory(null);
        port.Room = int.MaxValue;
        AhciMachine.WaitUntil(() => (machine.Interrupts & PortInterrupt.HBFS) != 0);
        machine.Controller.SetMemory(machine.Memory);
    }

    [Fact]
    public void A_wait_for_free_space_does_not_block_disposal()
    {
        var port = new RecordingPortDriver { Room = 0 };
        using var machine = new AhciMachine(port, waitForRoom: true).Start();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.WriteDmaExt, 8, 2), (A, 1024));
        machine.Issue(1);
        AwaitWaiting(port);
    }
}
