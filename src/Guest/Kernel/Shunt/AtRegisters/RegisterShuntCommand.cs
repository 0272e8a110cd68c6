using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;

namespace VmShunt.Guest.Shunt.AtRegisters;

/// <summary>
/// A command slot of the port as the shunt sees it: the command, and the requests that it becomes on the ring path. A
/// request has contiguous memory, so a command with a scattered PRDT becomes several. A slot is filled again only when all
/// its requests have completed. Filling allocates nothing once the slot has been used.
/// </summary>
internal sealed class RegisterShuntCommand
{
    /// <summary>The most requests that one command may become; a command that needs more traps.</summary>
    internal const int MaxPieces = 64;

    private readonly Action<RegisterShuntCommand> _completed;
    private readonly List<Piece> _pieces = [];
    private int _count, _left, _failed, _repeated;

    /// <param name="slot">0 to 31.</param>
    /// <param name="completed">Called on the thread of the last request's completion.</param>
    internal RegisterShuntCommand(int slot, Action<RegisterShuntCommand> completed)
    {
        Slot = slot;
        _completed = completed;
    }

    internal int Slot { get; }

    internal BlockOperation Operation { get; private set; }

    /// <summary>The sectors of a read or write.</summary>
    internal AtaExtent Extent { get; private set; }

    /// <summary>The command's registers, which the Register FIS repeats.</summary>
    internal AtaAddress Registers { get; private set; }

    /// <summary>The bytes in its PRDT, for PRDBC.</summary>
    internal uint TableBytes { get; private set; }

    /// <summary>Whether an entry of its PRDT has the I bit, for PxIS.DPS.</summary>
    internal bool RaisesDescriptorProcessed { get; set; }

    /// <summary>Where its requests go.</summary>
    internal IBlockDriver? Target { get; private set; }

    /// <summary>Aborted while its requests are in flight.</summary>
    internal bool IsAbandoned { get; set; }

    /// <summary>Whether a request was refused or failed.</summary>
    internal bool HasFailed => Ordered.Load(ref _failed) != 0;

    /// <summary>Completions of requests that were complete already.</summary>
    internal int Repeated => Ordered.Load(ref _repeated);

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

    /// <summary>Submits all requests. After the last one the command may have completed and the slot be filled again.</summary>
    internal void Submit()
    {
        var (target, count) = (Target!, _count);
        for (var i = 0; i < count; i++) target.Submit(_pieces[i]);
    }

    private void CompleteOne(BlockStatus status)
    {
        if (status != BlockStatus.Ok) Interlocked.Exchange(ref _failed, 1);
        if (Interlocked.Decrement(ref _left) == 0) _completed(this);
    }

    private sealed class Piece(RegisterShuntCommand command) : BlockRequest
    {
        internal void Prepare(BlockOperation operation, ulong sector, int bytes, ulong address)
        {
            Next = null;
            Fallback = null;
            Begin(operation, sector, bytes, address);
        }

        protected override void End(BlockStatus status) => command.CompleteOne(status);

        protected override void NoteRepeatedCompletion() => Interlocked.Increment(ref command._repeated);
    }
}
