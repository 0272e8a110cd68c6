using System.Buffers;

namespace VmShunt.Ring.Memory;

/// <summary>
/// A piece of an <see cref="IoVectors"/> as <see cref="Memory{T}"/>, for I/O that completes later. The owner attaches it
/// to a piece, keeps the piece's <see cref="GuestMemory"/> undisposed meanwhile, and detaches it; a use while it is detached
/// throws. One thread attaches and detaches; others may use the memory.
/// </summary>
public sealed class PieceMemory : MemoryManager<byte>
{
    // One field, so that a use sees one piece or none.
    private Piece? _piece;

    /// <summary>Attaches a piece of a list.</summary>
    /// <param name="pieces">The list.</param>
    /// <param name="index">The piece's index.</param>
    /// <returns>Its memory, valid until <see cref="Detach"/>.</returns>
    public Memory<byte> Attach(IoVectors pieces, int index)
    {
        ArgumentNullException.ThrowIfNull(pieces);
        var piece = pieces.Pieces[index];
        // Reused where the piece did not move: a queue's requests often come from the same buffers.
        if (_piece is not { } last || last.Address != piece.Address || last.Length != (int)piece.Length)
            Ordered.Store(ref _piece, new Piece(piece.Address, (int)piece.Length));
        return CreateMemory((int)piece.Length);
    }

    /// <summary>Ends the use of the piece: a later one throws.</summary>
    public void Detach() => Ordered.Store(ref _piece, null);

    /// <inheritdoc/>
    /// <exception cref="ObjectDisposedException">The request that the memory belonged to has completed.</exception>
    public override Span<byte> GetSpan()
    {
        var piece = Attached;
        return new MemoryWindow(piece.Address, (uint)piece.Length).Span;
    }

    /// <inheritdoc/>
    public override MemoryHandle Pin(int elementIndex = 0)
    {
        var piece = Attached;
        return new MemoryWindow(piece.Address, (uint)piece.Length).Pin(elementIndex, this);
    }

    /// <inheritdoc/>
    public override void Unpin()
    {
        // Mapped memory does not move.
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => Detach();

    private Piece Attached => Ordered.Load(ref _piece)
        ?? throw new ObjectDisposedException(nameof(PieceMemory), "guest memory was used after its request completed: copy what is needed later, and complete the task after the last use");

    private sealed record Piece(nint Address, int Length);
}
