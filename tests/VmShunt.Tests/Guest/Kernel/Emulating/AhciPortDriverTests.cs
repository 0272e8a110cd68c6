using VmShunt.BlockBackend.Disk;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.Guest.Kernel.Emulating;

/// <summary>The port driver (emulating) against VM-H's AHCI model.</summary>
public class AhciPortDriverTests
{
    [Fact]
    public async Task The_interrupt_driven_driver_completes_a_hundred_concurrent_requests_and_loses_none()
    {
        using var machine = new PortMachine(new BadSectorPortDriver(1 << 20, badFrom: 1000 * 512));
        machine.Port.Drive(machine.NewDriver());
        await Task.WhenAll(Enumerable.Range(0, 100).Select(i => Exercise(machine, i))).WaitAsync(TimeSpan.FromSeconds(120));
        // The last request completed on the interrupt thread, which the disposal joins.
        await Task.Yield();
        Assert.Equal(0, machine.Disk.Counters.Repeated);
    }

    [Fact]
    public async Task Zeroes_and_discards_reach_the_disk_as_writes_and_TRIM()
    {
        using var port = new RecordingPortDriver();
        using var machine = new PortMachine(port);
        machine.Port.Drive(machine.NewDriver());
        port.ClearRequests();
        await machine.Disk.WriteZeroesAsync(8, 16 * 512);
        await machine.Disk.DiscardAsync(64, 32 * 512);
        await Task.Yield();
        Assert.Contains("write 8+16", port.Requests);
        Assert.Contains(port.Requests, static asked => asked.EndsWith(" 64+32", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_request_alone_accesses_three_registers_and_not_the_slot_of_the_one_before()
    {
        const int requests = 100;
        using var machine = new PortMachine(new MemoryPortDriver(1 << 20));
        machine.Port.Drive(machine.NewDriver());
        var page = machine.Pages.Allocate(4096);
        await machine.Disk.ReadAsync(0, page);
        await Task.Yield();
        machine.Registers.Record();
        for (var i = 0; i < requests; i++)
        {
            if (i % 4 == 3) await machine.Disk.FlushAsync();
            else await machine.Disk.ReadAsync((ulong)i, page);
            // The interrupt handler's own accesses are over.
            await Task.Yield();
        }
        machine.Port.Release();
        var accesses = machine.Registers.Recorded.Take(3 * requests).ToArray();
        int[] registers = [HbaRegister.OfPort(0, PortRegister.PxCI), HbaRegister.OfPort(0, PortRegister.PxIS), HbaRegister.IS];
        Assert.Equal(Enumerable.Repeat(registers, requests).SelectMany(static one => one), accesses.Select(static access => access.Register));
        var issued = accesses.Where(access => access.Register == registers[0]).Select(static access => access.Value).ToArray();
        Assert.All(issued.Zip(issued.Skip(1)), static pair => Assert.NotEqual(pair.First, pair.Second));
    }

    // The first interrupt finds the command by its FIS or, where a layer put it on the ring, by the registers. The FIS is still
    // there when the second one comes, and no layer is in the way of it any more.
    [Theory]
    [InlineData(RequestPath.Trap)]
    [InlineData(RequestPath.Ring)]
    internal async Task An_interrupt_without_a_completion_completes_nothing(RequestPath path)
    {
        using var machine = new PortMachine(new MemoryPortDriver(1 << 20));
        machine.Port.Drive(machine.NewDriver());
        var layer = new PassThroughLayer(machine.Registers, machine.Port.HandleInterrupt);
        machine.Port.Exchange(layer);
        var page = machine.Pages.Allocate(4096);
        for (var i = 0; i < 3; i++)
        {
            layer.Path = path;
            await machine.Disk.ReadAsync(0, page);
            await Task.Yield();
            layer.Path = RequestPath.Trap;
            machine.Port.HandleInterrupt();
        }
        Assert.Equal(0, machine.Disk.Counters.Repeated);
    }

    // Every eighth one first reads sectors that fail: the recovery of the port must not affect the others.
    private static async Task Exercise(PortMachine machine, int i)
    {
        await Task.Yield();
        var (disk, pages) = (machine.Disk, machine.Pages);
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
}
