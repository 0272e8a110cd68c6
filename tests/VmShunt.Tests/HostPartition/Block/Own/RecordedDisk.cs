using VmShunt.BlockBackend;

namespace VmShunt.Tests.HostPartition.Block.Own;

/// <summary>A disk with the four members, which records its calls and can be told to fail or to block.</summary>
internal sealed class RecordedDisk(int bytes, int blockSize = 512) : BlockDevice
{
    private int _running;

    internal byte[] Data { get; } = new byte[bytes];

    internal List<string> Calls { get; } = [];

    internal Exception? Fault { get; set; }

    /// <summary>Called in each member.</summary>
    internal Action? During { get; set; }

    internal int MostAtOnce { get; private set; }

    internal bool IsDisposed { get; private set; }

    internal int? Physical { get; init; }

    internal long ReportedLength { get; set; } = bytes;

    public override long Length => ReportedLength;

    public override int LogicalBlockSize => blockSize;

    public override int PhysicalBlockSize => Physical ?? blockSize;

    public override void Read(Span<byte> destination, long offset)
    {
        Called($"read {offset}+{destination.Length}");
        Data.AsSpan((int)offset, destination.Length).CopyTo(destination);
    }

    public override void Write(ReadOnlySpan<byte> source, long offset)
    {
        Called($"write {offset}+{source.Length}");
        source.CopyTo(Data.AsSpan((int)offset));
    }

    public override void Flush() => Called("flush");

    public override void Discard(long offset, long length) => Called($"discard {offset}+{length}");

    protected override void Dispose(bool disposing)
    {
        IsDisposed = true;
        base.Dispose(disposing);
    }

    private void Called(string call)
    {
        MostAtOnce = Math.Max(MostAtOnce, Interlocked.Increment(ref _running));
        lock (Calls) Calls.Add(call);
        try
        {
            During?.Invoke();
        }
        finally
        {
            Interlocked.Decrement(ref _running);
        }
        if (Fault is { } fault) throw fault;
    }
}
