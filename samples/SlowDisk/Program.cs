// SlowDisk IMAGE SOCKET MILLISECONDS PERCENT: adds latency and errors to an image, to test a guest.
using System.Globalization;
using Microsoft.Win32.SafeHandles;
using VmShunt.BlockBackend;

using var image = File.OpenHandle(args[0], FileMode.Open, FileAccess.ReadWrite, FileShare.Read, FileOptions.Asynchronous);
var culture = CultureInfo.InvariantCulture;
await using var server = new BlockServer(new SlowDisk(image, TimeSpan.FromMilliseconds(double.Parse(args[2], culture)), double.Parse(args[3], culture)));
server.ListenVhostUser(args[1]);
Console.WriteLine("ready");
await server.RunUntilSignalAsync();

internal sealed class SlowDisk(SafeFileHandle image, TimeSpan latency, double errorPercent) : AsyncBlockDevice
{
    public override long Length { get; } = RandomAccess.GetLength(image);

    public override async ValueTask ReadAsync(Memory<byte> destination, long offset, CancellationToken cancellationToken)
    {
        await DelayAsync(cancellationToken);
        for (var read = 0; read < destination.Length;)
            read += await RandomAccess.ReadAsync(image, destination[read..], offset + read, cancellationToken);
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> source, long offset, CancellationToken cancellationToken)
    {
        await DelayAsync(cancellationToken);
        await RandomAccess.WriteAsync(image, source, offset, cancellationToken);
    }

    public override ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        RandomAccess.FlushToDisk(image);
        return default;
    }

    private async Task DelayAsync(CancellationToken cancellationToken)
    {
        await Task.Delay(latency, cancellationToken);
        if (Random.Shared.NextDouble() * 100 < errorPercent) throw new BlockException("an error on purpose");
    }
}
