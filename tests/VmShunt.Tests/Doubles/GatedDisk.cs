using VmShunt.BlockBackend;

namespace VmShunt.Tests.Doubles;

/// <summary>A disk whose writes wait while its gate is closed.</summary>
internal sealed class GatedDisk(int bytes) : BlockDevice
{
    private readonly byte[] _content = new byte[bytes];
    private readonly ManualResetEventSlim _gate = new(true), _waiting = new();

    public override long Length => _content.Length;

    public override void Read(Span<byte> destination, long offset) => _content.AsSpan((int)offset, destination.Length).CopyTo(destination);

    public override void Write(ReadOnlySpan<byte> source, long offset)
    {
        if (!_gate.IsSet) _waiting.Set();
        Assert.True(_gate.Wait(60_000), "the gate stays closed");
        source.CopyTo(_content.AsSpan((int)offset));
    }

    public override void Flush()
    {
    }

    internal void Close() => _gate.Reset();

    internal void Open() => _gate.Set();

    internal void AwaitWrite() => Assert.True(_waiting.Wait(60_000), "no write waits");
}
