using System.Buffers;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Own;

/// <summary>
/// The port driver of a disk that derives from a public contract: checks blocks, limits concurrency, and turns whatever the
/// disk throws into an <see cref="IOException"/> that names the call. Any thread.
/// </summary>
internal abstract class OwnPort : PortDriver
{
    private readonly BlockStorage _storage;
    private readonly CallGate _gate;
    private long _length, _copied;

    private protected OwnPort(BlockStorage storage, int concurrency)
    {
        _storage = storage;
        _gate = new CallGate(concurrency);
        Block = storage.LogicalBlockSize;
        _length = CheckedLength();
        IsReadOnly = storage.IsReadOnly;
        Topology = DiskTopology.Of(new BlockLimits(IsBlockDevice: false, Block, storage.PhysicalBlockSize, 0, Block, 0));
    }

    internal override string Description => _storage.Name;

    // Refresh changes it while requests run. No other data depends on it.
    internal override long Bytes => Ordered.Load(ref _length);

    internal override bool IsReadOnly { get; }

    internal override DiskTopology Topology { get; }

    internal override bool DiscardIsDeterministic => false;

    /// <summary>Requests that went through a private buffer, because a piece split a block or writes must be stable.</summary>
    internal long CopiedRequests => Ordered.Load(ref _copied);

    /// <summary>The logical block size in bytes.</summary>
    private int Block { get; }

    /// <summary>Whether a request is for whole blocks.</summary>
    internal bool IsWhole(long offset, long bytes) => ((offset | bytes) & (Block - 1)) == 0;

    internal override void Refresh() => Ordered.Store(ref _length, CheckedLength());

    // The disk is the server's to dispose.
    public override void Dispose() => _gate.Dispose();

    /// <summary>Calls the disk.</summary>
    /// <param name="member">The called member, for messages.</param>
    /// <param name="offset">The first byte on the disk.</param>
    /// <param name="bytes">The length.</param>
    /// <param name="state">What <paramref name="call"/> needs, so that it captures nothing.</param>
    /// <param name="call">Gets the state, the offset and the length.</param>
    /// <exception cref="IOException">The disk threw, or the guest asked for a part of a block.</exception>
    protected void Call<T>(string member, long offset, long bytes, T state, Action<T, long, long> call)
    {
        if (!IsWhole(offset, bytes))
            throw new BlockException($"the guest asked for {bytes} bytes at offset {offset}, which are no whole blocks of {Block}");
        _gate.Enter();
        try
        {
            call(state, offset, bytes);
        }
        catch (Exception e) when (e is not IOException)
        {
            throw new IOException($"{member} of {bytes} bytes at offset {offset} threw {e.GetType().Name}: {e.Message}", e);
        }
        finally
        {
            _gate.Exit();
        }
    }

    /// <summary>Whether every piece holds whole blocks.</summary>
    protected bool HasWholeBlocks(IoVectors pieces) => pieces.IsAligned(1, Block);

    /// <summary>Transfers through a private buffer, a part at a time; consumes the list.</summary>
    /// <param name="pieces">The guest's memory.</param>
    /// <param name="offset">The first byte on the disk.</param>
    /// <param name="state">What <paramref name="part"/> needs.</param>
    /// <param name="part">Gets the state, the pieces, the buffer and the offset; transfers between the pieces' first bytes and the disk.</param>
    protected void Copy<T>(IoVectors pieces, long offset, T state, Action<T, IoVectors, Memory<byte>, long> part)
    {
        CountCopy();
        var buffer = ArrayPool<byte>.Shared.Rent(ZeroBlocks.Bytes);
        try
        {
            while (pieces.TotalBytes > 0)
            {
                var bytes = (int)Math.Min(ZeroBlocks.Bytes, pieces.TotalBytes);
                part(state, pieces, buffer.AsMemory(0, bytes), offset);
                pieces.Skip(bytes);
                offset += bytes;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    protected void CountCopy() => Interlocked.Increment(ref _copied);

    private long CheckedLength()
    {
        var length = _storage.Length;
        return length > 0 && length % Block == 0
            ? length
            : throw new IOException($"the disk {_storage.Name} has a Length of {length} bytes; a positive multiple of its LogicalBlockSize, {Block}, is needed");
    }
}
