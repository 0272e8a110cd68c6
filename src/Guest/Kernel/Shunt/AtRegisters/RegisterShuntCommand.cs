using VmShunt.BlockDriver.Requests;
using VmShunt.Trap.Ahci;

namespace VmShunt.Guest.Shunt.AtRegisters;

/// <summary>
/// A command slot of the port as the shunt sees it: what the command there asks for, and the requests that it is made of
/// on the enlightened road. A request has one stretch of memory, so a scattered command is several. The object of a slot
/// is filled again only when all its requests have ended. Filling allocates nothing once the slot has been used.
/// </summary>
internal sealed class RegisterShuntCommand
{
    /// <summary>The most requests that one command may become; what needs more takes the trap.</summary>
    internal const int MaxPieces = 64;

    private readonly Action<RegisterShuntCommand> _ended;
    private readonly List<Piece> _pieces = [];
    private int _count, _left, _failed, _repeated;

    /// <param name="slot">0 to 31.</param>
    /// <param name="ended">Told, on the thread of the last request's completion, that all have ended.</param>
    internal RegisterShuntCommand(int slot, Action<RegisterShuntCommand> ended)
    {
        Slot = slot;
        _ended = ended;
    }

    internal int Slot { get; }

    internal BlockOperation Operation { get; private set; }

    /// <summary>The sectors of a read or write.</summary>
    internal AtaExtent Extent { get; private set; }

    /// <summary>The command's registers, which the answer repeats.</summary>
    internal AtaAddress Registers { get; private set; }

    /// <summary>The bytes that its table names, for PRDBC.</summary>
    internal uint TableBytes { get; private set; }

    /// <summary>Whether an entry of its table asks for PxIS.DPS.</summary>
    internal bool RaisesDescriptorProcessed { get; set; }

    /// <summary>Where its requests go.</summary>
    internal IBlockDriver? Target { get; private set; }

    /// <summary>Nobody wants the outcome any more; its requests are still on the road.</summary>
    internal bool IsAbandoned { get; set; }

    /// <summary>Whether a request was refused or failed.</summary>
    internal bool HasFailed => _failed != 0;

    /// <summary>Completions of requests that were complete already. They are counted and change nothing.</summary>
    internal int Repeated => _repeated;

    internal void Begin(IBlockDriver target, BlockOperation operation, AtaExtent extent, in AtaAddress registers, uint tableBytes)
    {
        Target = target;
        Operation = operation;
        Extent = extent;
        Registers = registers;
        TableBytes = tableBytes;
        RaisesDescriptorProcessed = false;
        _count = 0;
        _failed = 0;
    }

    /// <summary>Adds a request.</summary>
    /// <returns>False when there are too many.</returns>
    internal bool TryAdd(BlockOperation operation, ulong sector, int bytes, ulong address)
    {
        if (_count == MaxPieces) return false;
        if (_count == _pieces.Count) _pieces.Add(new Piece(this));
        _pieces[_count++].Prepare(operation, sector, bytes, address);
        _left = _count;
        return true;
    }

    /// <summary>Sends all requests. After that the command is its completions' affair: it may have ended, and begun anew.</summary>
    internal void Submit()
    {
        var (target, count) = (Target!, _count);
        for (var i = 0; i < count; i++) target.Submit(_pieces[i]);
    }

    private void EndOne(BlockStatus status)
    {
        if (status != BlockStatus.Ok) Interlocked.Exchange(ref _failed, 1);
        if (Interlocked.Decrement(ref _left) == 0) _ended(this);
    }

    private sealed class Piece(RegisterShuntCommand command) : BlockRequest
    {
        internal void Prepare(BlockOperation operation, ulong sector, int bytes, ulong address)
        {
            Next = null;
            Fallback = null;
            Begin(operation, sector, bytes, address);
        }

        protected override void End(BlockStatus status) => command.EndOne(status);

        protected override void NoteRepeatedCompletion() => Interlocked.Increment(ref command._repeated);
    }
}
