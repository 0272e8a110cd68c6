using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Own;

/// <summary>The port driver of a <see cref="VectoredBlockDevice"/>. Any thread.</summary>
internal sealed class VectoredPort(VectoredBlockDevice device, int concurrency) : OwnPort(device, concurrency)
{
    internal override void Read(IoVectors target, long offset) =>
        Call(nameof(Read), offset, target.TotalBytes, (Device: device, Pieces: target), static (call, offset, _) => call.Device.Read(call.Pieces, offset));

    internal override void Write(IoVectors source, long offset) =>
        Call(nameof(Write), offset, source.TotalBytes, (Device: device, Pieces: source), static (call, offset, _) => call.Device.Write(call.Pieces, offset));

    internal override void Flush() => Call(nameof(Flush), 0, 0, device, static (device, _, _) => device.Flush());

    internal override bool TryDiscard(long offset, long bytes)
    {
        Call(nameof(VectoredBlockDevice.Discard), offset, bytes, device, static (device, offset, bytes) => device.Discard(offset, bytes));
        return true;
    }

    internal override bool TryUnmap(long offset, long bytes)
    {
        Call(nameof(WriteZeroes), offset, bytes, device, static (device, offset, bytes) => device.WriteZeroes(offset, bytes, mayDeallocate: true));
        return true;
    }

    internal override void WriteZeroes(long offset, long bytes) =>
        Call(nameof(WriteZeroes), offset, bytes, device, static (device, offset, bytes) => device.WriteZeroes(offset, bytes, mayDeallocate: false));
}
