using VmShunt.BlockBackend.Disk;
using VmShunt.BlockDriver;
using VmShunt.Tests.Guest.Kernel;
using VmShunt.Tests.Guest.Kernel.Commands.Measure;

namespace VmShunt.Tests.Guest.Block;

/// <summary>What an awaited request allocates, in the whole process: no other test runs beside.</summary>
[Collection(CopyCountCollection.Name)]
public class BlockDiskAllocationTests
{
    private const int Requests = 2_000, Windows = 10;

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    public async Task An_awaited_request_allocates_nothing(bool isRented, bool synchronous)
    {
        using var served = new ServedSocket(new MemoryPortDriver(1 << 20));
        await using var disk = await BlockDisk.ConnectAsync(served.Path, new BlockDiskOptions { AllowSynchronousContinuations = synchronous });
        using var cancel = new CancellationTokenSource();
        var own = new byte[4096];
        var least = long.MaxValue;
        for (var window = 0; window < Windows; window++) least = Math.Min(least, await AllocatedAsync(disk, isRented ? null : own, cancel.Token));
        // The runtime and the test host allocate a little in the background.
        Assert.InRange(least, 0, Requests - 1);
        // Not on the virtqueue's thread, which the disposal waits for.
        await Task.Yield();
    }

    // Without the test's synchronization context, which allocates to post.
    private static async Task<long> AllocatedAsync(BlockDisk disk, byte[]? own, CancellationToken cancel)
    {
        var before = GC.GetTotalAllocatedBytes(precise: true);
        for (var i = 0; i < Requests; i++)
        {
            using var buffer = disk.Rent(4096);
            var memory = own ?? buffer.Memory;
            await disk.WriteAsync(memory, 0, cancel).ConfigureAwait(false);
            await disk.ReadAsync(memory, 0, cancel).ConfigureAwait(false);
        }
        return GC.GetTotalAllocatedBytes(precise: true) - before;
    }
}
