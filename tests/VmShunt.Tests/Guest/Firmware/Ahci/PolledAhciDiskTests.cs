using VmShunt.BlockBackend.Disk;
using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.Guest.Firmware.Ahci;

/// <summary>The polled driver of the loader and the crash path against VM-H's AHCI model.</summary>
public class PolledAhciDiskTests
{
    private const ulong Abar = 0xF000_0000, DriverMemory = 0x8000, Data = AhciMachine.Data;

    [Fact]
    public void The_polled_driver_identifies_reads_writes_and_flushes()
    {
        using var machine = new AhciMachine(new MemoryPortDriver(1 << 20));
        var disk = Polled(machine);
        disk.Start();
        Assert.Equal((2048UL, "SER0123456789"), (disk.SectorCount, disk.Serial));
        machine.Memory.GetSpan(Data, 65536).Fill(0x42);
        disk.Write(100, Data, 65536);
        disk.Flush();
        var bytes = new byte[65536];
        disk.ReadSectors(100, bytes);
        Assert.Equal(-1, bytes.AsSpan().IndexOfAnyExcept((byte)0x42));
    }

    [Fact]
    public void The_polled_driver_reports_an_error_and_executes_the_next_command()
    {
        using var machine = new AhciMachine(new MemoryPortDriver(1 << 20));
        var disk = Polled(machine);
        disk.Start();
        for (var i = 0; i < 3; i++)
        {
            Assert.Throws<IOException>(() => disk.Read(2047, Data, 1024));
            Assert.Throws<IOException>(() => disk.Read(0, 0x7000_0000, 512));
            disk.Read(2047, Data, 512);
        }
    }

    [Fact]
    public void The_polled_driver_resets_a_controller_that_a_crashed_driver_left_with_commands_in_flight()
    {
        using var machine = new AhciMachine(new MemoryPortDriver(1 << 20)).Start();
        for (var slot = 0; slot < 32; slot++)
            machine.Prepare(slot, AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 64), (Data + (ulong)slot * 0x8000, 0x8000));
        machine.Issue(uint.MaxValue);
        var disk = Polled(machine);
        disk.Start();
        machine.Memory.GetSpan(Data, 512).Fill(0x42);
        disk.Write(7, Data, 512);
        disk.Read(7, Data + 512, 512);
        Assert.Equal(-1, machine.Memory.GetSpan(Data, 1024).IndexOfAnyExcept((byte)0x42));
        Assert.False(machine.Controller.InterruptLevel);
    }

    [Fact]
    public void A_command_that_does_not_complete_in_time_is_reported_as_a_hang()
    {
        var gate = new GatedPortDriver(1 << 20);
        using var machine = new AhciMachine(gate);
        var disk = Polled(machine, TimeSpan.FromSeconds(0.05));
        disk.Start();
        Assert.Contains("did not complete in 0.05 s: the disk hangs", Assert.Throws<IOException>(() => disk.Read(0, Data, 512)).Message, StringComparison.Ordinal);
        gate.Open(100);
    }

    [Fact]
    public void A_flush_has_four_times_as_long()
    {
        var gate = new GatedPortDriver(1 << 20);
        using var machine = new AhciMachine(gate);
        var disk = Polled(machine, TimeSpan.FromSeconds(0.05));
        disk.Start();
        Assert.Contains("did not complete in 0.2 s: the disk hangs", Assert.Throws<IOException>(disk.Flush).Message, StringComparison.Ordinal);
        gate.Open(100);
    }

    [Fact]
    public void A_command_allocates_nothing()
    {
        using var machine = new AhciMachine(new MemoryPortDriver(1 << 20));
        var disk = Polled(machine);
        disk.Start();
        Assert.Equal(0, Allocation.OfHundred(() =>
        {
            disk.Write(1, Data, 4096);
            disk.Read(1, Data, 4096);
            disk.Flush();
        }));
    }

    private static PolledAhciDisk Polled(AhciMachine machine, TimeSpan? patience = null) =>
        new(new ControllerMmio(machine.Controller, Abar), new AhciHba(1, Abar), machine.Memory, DriverMemory, 8192 + 4096, patience);
}
