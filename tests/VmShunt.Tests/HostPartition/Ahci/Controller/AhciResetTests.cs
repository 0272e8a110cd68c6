using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.HostPartition.Ahci.Controller;

/// <summary>
/// Stops, resets and changes of the memory while a command is in flight: none waits for the disk, an aborted command does not
/// complete and touches no memory, and the port is busy until the disk has finished it.
/// </summary>
public class AhciResetTests
{
    private const ulong A = AhciMachine.Data;

    [Fact]
    public void A_register_write_does_not_wait_for_the_disk()
    {
        using var port = new GatedPortDriver(1 << 20);
        using var machine = new AhciMachine(port).Start();
        IssueReads(machine, port, 0b111);
        Assert.Equal(0b111u, machine.Issued);
        Assert.Equal(AtaStatus.BSY, machine.Status & AtaStatus.BSY);
        port.Open(3);
        AhciMachine.WaitUntil(() => machine.Issued == 0);
        Assert.Equal(AtaStatus.Ready, machine.Status);
    }

    [Fact]
    public void Clearing_ST_clears_CR_and_aborts_the_command_and_the_port_is_busy_until_the_disk_has_finished_it()
    {
        using var port = new GatedPortDriver(1 << 20);
        using var machine = new AhciMachine(port).Start();
        IssueReads(machine, port, 0b1111);
        machine.Port(PortRegister.PxCMD, (uint)PortCommand.FRE);
        Assert.Equal(0u, machine.Issued);
        Assert.Equal(PortCommand.None, machine.Command & PortCommand.CR);
        AssertBusy(machine);

        port.Open(32);
        WaitUntilReady(machine);
        AssertNothingCompleted(machine);
        Assert.Equal(1, port.Operations);
        Assert.Equal(0x50u, machine.Port(PortRegister.PxTFD) & 0xFF);
        machine.Port(PortRegister.PxCMD, (uint)(PortCommand.FRE | PortCommand.ST));
        Assert.Equal(PortInterrupt.DHRS, machine.Run(slots: 1 << 2));
    }

    [Fact]
    public void A_slot_that_is_reissued_after_a_stop_completes_for_its_new_command_only()
    {
        using var port = new GatedPortDriver(1 << 20);
        using var machine = new AhciMachine(port).Start();
        IssueReads(machine, port, 1);
        machine.Port(PortRegister.PxCMD, (uint)PortCommand.FRE);
        machine.Port(PortRegister.PxCMD, (uint)(PortCommand.FRE | PortCommand.ST));
        machine.Issue(1);
        port.Open();
        port.AwaitOperation();
        Assert.Equal(1u, machine.Issued);
        AssertNothingCompleted(machine, issued: 1);
        port.Open();
        AhciMachine.WaitUntil(() => machine.Issued == 0);
        Assert.Equal(PortInterrupt.DHRS, machine.Interrupts);
        Assert.Equal(512u, machine.Prdbc());
    }

    [Fact]
    public void HBA_reset_is_complete_at_once()
    {
        using var port = new GatedPortDriver(1 << 20);
        using var machine = new AhciMachine(port).Start();
        IssueReads(machine, port, 0b1111);
        machine.Hba(HbaRegister.GHC, (uint)GlobalHostControl.HR);
        Assert.Equal(0u, machine.Hba(HbaRegister.GHC) & (uint)GlobalHostControl.HR);
        Assert.Equal(0u, machine.Issued);
        Assert.Equal(0x133u, machine.Port(PortRegister.PxSSTS));
        AssertBusy(machine);

        AssertMemoryStaysUntouched(machine, port);
        machine.Start();
        Assert.Equal(PortInterrupt.DHRS, machine.Run(slots: 1));
    }

    [Fact]
    public void Reset_does_not_wait_for_the_disk_and_no_old_command_writes_to_memory_afterwards()
    {
        using var port = new GatedPortDriver(1 << 20);
        using var machine = new AhciMachine(port).Start();
        IssueReads(machine, port, uint.MaxValue);
        machine.Controller.Reset();
        Assert.Equal(0u, machine.Issued);
        Assert.Equal(0x133u, machine.Port(PortRegister.PxSSTS));
        AssertMemoryStaysUntouched(machine, port);
        machine.Start();
        Assert.Equal(PortInterrupt.DHRS, machine.Run(slots: 1));
    }

    [Fact]
    public void COMRESET_brings_the_link_up_at_once_and_completes_no_lost_command()
    {
        using var port = new GatedPortDriver(1 << 20);
        using var machine = new AhciMachine(port).Start();
        IssueReads(machine, port, 0b11);
        machine.Port(PortRegister.PxSCTL, SataLink.DETReset);
        machine.Port(PortRegister.PxSCTL, 0);
        Assert.Equal(0x133u, machine.Port(PortRegister.PxSSTS));
        AssertBusy(machine);
        port.Open(32);
        WaitUntilReady(machine);
        AssertNothingCompleted(machine, issued: 0b11, interrupts: PortInterrupt.PCS);
        Assert.Equal(FisFlags.None, machine.ReceivedRegisters().Flags);
        machine.Recover();
        Assert.Equal(0u, machine.Issued);
        Assert.Equal(PortInterrupt.DHRS, machine.Run(slots: 0b10));
    }

    [Fact]
    public void COMRESET_released_after_the_DMA_brings_the_link_up()
    {
        using var port = new GatedPortDriver(1 << 20);
        using var machine = new AhciMachine(port).Start();
        IssueReads(machine, port, 1);
        machine.Port(PortRegister.PxCMD, (uint)PortCommand.FRE);
        machine.Port(PortRegister.PxSCTL, SataLink.DETReset);
        port.Open();
        Assert.Equal(0u, machine.Port(PortRegister.PxSSTS));
        machine.Port(PortRegister.PxSCTL, 0);
        Assert.Equal(0x133u, machine.Port(PortRegister.PxSSTS));
    }

    [Fact]
    public void SetMemory_does_not_wait_for_the_disk_and_the_command_in_flight_goes_on_with_the_new_memory()
    {
        using var port = new GatedPortDriver(1 << 20);
        using var machine = new AhciMachine(port).Start();
        IssueReads(machine, port, 0b11);
        var before = machine.Snapshot();
        using var file = SharedMemoryFile.Create("ahci-new", (long)AhciMachine.LowBytes);
        using var region = MemoryRegion.Map(file, 0, AhciMachine.LowBytes, 0);
        using var memory = new GuestMemory(region);
        machine.Controller.SetMemory(memory);
        port.Open(2);

        // The first command completes in the new memory, where the second one's header is empty.
        AhciMachine.WaitUntil(() => (machine.Interrupts & AhciMachine.Errors) != 0);
        Assert.Equal(0b10u, machine.Issued);
        Assert.Equal(1, port.Operations);
        Assert.True(before.AsSpan().SequenceEqual(machine.Memory.GetSpan(0, before.Length)));
        Assert.Equal(-1, memory.GetSpan(A, 512).IndexOfAnyExcept((byte)0xAA));
        Assert.True(memory.TryRead<uint>(AhciMachine.Header(0) + CommandHeader.PrdbcOffset, out var transferred));
        Assert.Equal(512u, transferred);
        machine.Controller.SetMemory(machine.Memory);
    }

    [Fact]
    public void A_command_whose_memory_is_unmapped_meanwhile_fails_and_writes_nothing()
    {
        using var port = new GatedPortDriver(1 << 20);
        using var machine = new AhciMachine(port).Start();
        IssueReads(machine, port, 1);
        var before = machine.Snapshot();
        machine.Controller.SetMemory(null);
        port.Open();
        AhciMachine.WaitUntil(() => (machine.Interrupts & PortInterrupt.HBFS) != 0);
        Assert.True(before.AsSpan().SequenceEqual(machine.Memory.GetSpan(0, before.Length)));
        machine.Controller.SetMemory(machine.Memory);
        machine.Recover();
        port.Open();
        Assert.Equal(PortInterrupt.DHRS, machine.Run(slots: 1));
    }

    [Fact]
    public void No_request_of_another_front_end_starts_before_the_disk_has_finished_an_aborted_write()
    {
        using var port = new GatedPortDriver(1 << 20);
        using var machine = new AhciMachine(port).Start();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.WriteDmaExt, 8, 1), (A, 512));
        machine.Issue(1);
        port.AwaitOperation();
        machine.Port(PortRegister.PxCMD, (uint)PortCommand.FRE);
        Assert.True(machine.Disk.HasLateCommand);

        // The guest boots again, and writes the same sector by the ring.
        using var ring = new BlkSession(machine.Disk).Start();
        ring.Submit(0, VirtioBlkRequestType.Out, 8, 512);
        Thread.Sleep(50);
        Assert.Equal(1, port.Operations);
        port.Open(2);
        Assert.Equal(VirtioBlkStatus.Ok, ring.Complete().Status);
        Assert.Equal(2, port.Operations);
        Assert.False(machine.Disk.HasLateCommand);
    }

    [Fact]
    public void Without_memory_commands_fail()
    {
        using var machine = new AhciMachine(new MemoryPortDriver(1 << 20)).Start();
        machine.Controller.SetMemory(null);
        Assert.Equal(PortInterrupt.HBFS, machine.Run(AhciMachine.Fis(AtaCommand.FlushCache)));
        machine.Controller.SetMemory(machine.Memory);
        machine.Recover();
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.FlushCache)));
    }

    [Fact]
    public void Disposal_waits_for_the_disk_and_stops_the_worker()
    {
        using var port = new GatedPortDriver(1 << 20);
        using var machine = new AhciMachine(port).Start();
        IssueReads(machine, port, 0b11);
        var disposal = StartAndSeeItWait(machine.Controller.Dispose);
        port.Open(2);
        Join(disposal);
        Assert.Equal(1, port.Operations);
        AssertNothingCompleted(machine, issued: 0b11);
    }

    [Fact]
    public void A_command_of_several_disk_operations_is_aborted_between_them()
    {
        using var port = new GatedPortDriver(1 << 20);
        using var machine = new AhciMachine(port).Start();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 8), [.. Enumerable.Range(0, 2048).Select(i => (A + (ulong)i * 8, 2))]);
        machine.Issue(1);
        port.AwaitOperation();
        machine.Port(PortRegister.PxCMD, (uint)PortCommand.FRE);
        port.Open(32);
        WaitUntilReady(machine);
        Assert.Equal(1, port.Operations);
    }

    [Fact]
    public void Software_reset_ends_with_the_signature()
    {
        using var machine = new AhciMachine(new MemoryPortDriver(1 << 20)).Start();
        var control = AhciMachine.Fis(default) with { Flags = FisFlags.None, Control = AtaControl.SRST };
        machine.Prepare(0, control);
        Assert.True(machine.Memory.TryWrite(AhciMachine.Header(0), (ushort)((CommandHeaderFlags)5 | CommandHeaderFlags.R | CommandHeaderFlags.C)));
        Assert.Equal(PortInterrupt.None, machine.Run(slots: 1));
        Assert.Equal(PortInterrupt.None, machine.Run(control with { Control = AtaControl.None }));
        Assert.Equal(0x0150u, machine.Port(PortRegister.PxTFD));
        var fis = machine.ReceivedRegisters();
        Assert.Equal((FisType.RegisterD2H, FisFlags.None, 1UL, 1), (fis.Type, fis.Flags, fis.Address.Lba, fis.Address.Count));
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.FlushCache)));
    }

    [Fact]
    public void Resets_at_any_moment_leave_a_usable_port()
    {
        var seed = Random.Shared.Next();
        var random = new Random(seed);
        using var machine = new AhciMachine(new MemoryPortDriver(1 << 20)).Start();
        for (var round = 0; round < 300; round++)
        {
            for (var slot = 0; slot < 32; slot++)
                machine.Prepare(slot, AhciMachine.Fis(AtaCommand.ReadDmaExt, (ulong)random.Next(1000), 64), (A + (ulong)slot * 0x8000, 0x8000));
            machine.Issue((uint)random.Next() | 1);
            Thread.SpinWait(random.Next(2000));
            switch (random.Next(5))
            {
                case 0:
                    machine.Recover();
                    break;
                case 1:
                    machine.Hba(HbaRegister.GHC, (uint)GlobalHostControl.HR);
                    AhciMachine.WaitUntil(() => (machine.Hba(HbaRegister.GHC) & 1) == 0);
                    machine.Start();
                    break;
                case 2:
                    machine.Port(PortRegister.PxSCTL, SataLink.DETReset);
                    machine.Port(PortRegister.PxSCTL, 0);
                    AhciMachine.WaitUntil(() => machine.Port(PortRegister.PxSSTS) == 0x133);
                    machine.Recover();
                    break;
                case 3:
                    machine.Controller.Reset();
                    machine.Start();
                    break;
                default:
                    machine.Controller.SetMemory(null);
                    machine.Controller.SetMemory(machine.Memory);
                    machine.Recover();
                    break;
            }
            Assert.True(machine.Issued == 0, $"seed {seed}, round {round}");
            Assert.True(machine.Run(AhciMachine.Fis(AtaCommand.FlushCache)) == PortInterrupt.DHRS, $"seed {seed}, round {round}");
        }
    }

    // No other thread holds the controller's lock, so a blocked call waits for the disk.
    private static Thread StartAndSeeItWait(Action call)
    {
        var thread = new Thread(() => call()) { IsBackground = true };
        thread.Start();
        AhciMachine.WaitUntil(() => (thread.ThreadState & (ThreadState.WaitSleepJoin | ThreadState.Stopped)) != 0);
        Assert.True(thread.IsAlive, "the call did not wait for the disk");
        return thread;
    }

    private static void Join(Thread thread) => Assert.True(thread.Join(TimeSpan.FromSeconds(60)), "the call is still blocked");

    private static void IssueReads(AhciMachine machine, GatedPortDriver port, uint slots)
    {
        for (var slot = 0; slot < 32; slot++)
            machine.Prepare(slot, AhciMachine.Fis(AtaCommand.ReadDmaExt, (ulong)slot, 1), (A + (ulong)slot * 512, 512));
        machine.Memory.GetSpan(AhciMachine.FisArea, ReceivedFis.SizeInBytes).Clear();
        machine.Issue(slots);
        port.AwaitOperation();
    }

    private static void AssertNothingCompleted(AhciMachine machine, uint issued = 0, PortInterrupt interrupts = PortInterrupt.None)
    {
        Assert.Equal(issued, machine.Issued);
        Assert.Equal(interrupts, machine.Interrupts);
        for (var slot = 0; slot < 32; slot++) Assert.Equal(0u, machine.Prdbc(slot));
        Assert.Equal(interrupts == PortInterrupt.None ? default : FisType.RegisterD2H, machine.ReceivedRegisters().Type);
    }

    private static void AssertBusy(AhciMachine machine) => Assert.Equal(AtaStatus.BSY, machine.Status & AtaStatus.BSY);

    private static void WaitUntilReady(AhciMachine machine) => AhciMachine.WaitUntil(() => (machine.Status & AtaStatus.BSY) == 0);

    private static void AssertMemoryStaysUntouched(AhciMachine machine, GatedPortDriver port)
    {
        var before = machine.Snapshot();
        port.Open(32);
        WaitUntilReady(machine);
        Assert.True(before.AsSpan().SequenceEqual(machine.Memory.GetSpan(0, before.Length)));
        Assert.Equal(1, port.Operations);
    }
}
