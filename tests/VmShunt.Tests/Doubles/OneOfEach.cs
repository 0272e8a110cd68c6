using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;

namespace VmShunt.Tests.Doubles;

/// <summary>One request of each type, in the order of <see cref="BlockOperation"/>.</summary>
internal static class OneOfEach
{
    internal static Task[] Submit(DiskClassDriver disk) =>
    [
        disk.ReadAsync(0, Buffers.Of(512)).AsTask(),
        disk.WriteAsync(0, Buffers.Of(512)).AsTask(),
        disk.FlushAsync().AsTask(),
        disk.DiscardAsync(0, 512).AsTask(),
        disk.WriteZeroesAsync(0, 512).AsTask(),
    ];
}
