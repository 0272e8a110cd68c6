using Microsoft.Win32.SafeHandles;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Firmware.Ahci;
using VmShunt.HostPartition.Disk;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.Guest.Kernel.Emulating;

/// <summary>VM-C's own drivers against VM-H's controller, with nothing between but a function call a register access.</summary>
public class AhciDriverTests
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
    public void The_polled_driver_reports_an_error_and_goes_on()
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
    public void The_polled_driver_takes_over_a_controller_that_a_dead_driver_left_at_work()
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
    public async Task The_interrupt_driven_driver_keeps_a_hundred_requests_apart_and_loses_none()
    {
        using var raised = new SemaphoreSlim(0);
        using var machine = new AhciMachine(new BadSectorPortDriver(1 << 20, badFrom: 1000 * 512), onInterruptLevel: level =>
        {
            if (level) raised.Release();
        });
        using var noFile = new SafeFileHandle();
        var ram = new GuestRam(machine.Memory, noFile, [new MemoryPart(0, AhciMachine.LowBytes, 0)], AhciMachine.LowBytes);
        var pages = new GuestPages(ram);
        using var driver = AhciPortDriver.Start(new ControllerMmio(machine.Controller, Abar), new AhciHba(1, Abar), ram, pages);
        var stopped = 0;
        var processor = new Thread(() =>
        {
            while (true)
            {
                raised.Wait();
                if (stopped != 0) return;
                driver.HandleInterrupt();
            }
        });
        processor.Start();
        try
        {
            var disk = new DiskClassDriver(driver, new CrashGate());
            await Task.WhenAll(Enumerable.Range(0, 100).Select(i => Exercise(disk, pages, i))).WaitAsync(TimeSpan.FromSeconds(120));
            Assert.Equal(0, disk.Counters.Repeated);
        }
        finally
        {
            stopped = 1;
            raised.Release();
            processor.Join();
        }
    }

    // Every eighth one asks for sectors that cannot be read first: its neighbours must not feel the port being recovered.
    private static async Task Exercise(DiskClassDriver disk, GuestPages pages, int i)
    {
        await Task.Yield();
        var (write, read) = (pages.Allocate(4096), pages.Allocate(4096));
        write.Span.Fill((byte)(i + 1));
        for (var round = 0; round < 10; round++)
        {
            if (i % 8 == 0) await Assert.ThrowsAsync<BlockIoException>(async () => await disk.ReadAsync(1000, read));
            await disk.WriteAsync((ulong)i * 8, write);
            await disk.FlushAsync();
            read.Span.Clear();
            await disk.ReadAsync((ulong)i * 8, read);
            Assert.Equal(-1, read.Span.IndexOfAnyExcept((byte)(i + 1)));
        }
    }

    private static PolledAhciDisk Polled(AhciMachine machine) =>
        new(new ControllerMmio(machine.Controller, Abar), new AhciHba(1, Abar), machine.Memory, DriverMemory, 8192 + 4096);
}
