using VmShunt.HostPartition.Disk;
using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;

namespace VmShunt.HostPartition.Ahci;

/// <summary>
/// Walks the PRDT of one command (AHCI 1.3.1 §4.2.3.3) and hands its memory out in lists that disk operations take.
/// Each entry is read once, when its turn comes, and only forward. Stops for good at the first fault, and as soon as
/// the command has been abandoned. Used by the worker thread alone.
/// </summary>
internal sealed class PrdtCursor(SharedFlag abandoned)
{
    // From here on a list ends at the next sector: even in pieces of two bytes, the least that an entry names, that
    // takes 256 more, which leaves room for pieces that cross memory regions.
    private const int SplitAfter = IoVectors.MaxPieces / 2;

    private GuestMemory _memory = null!;
    private ulong _table;
    private int _entries, _next;
    private ulong _address;
    private long _left;
    private bool _interruptAtEnd;

    /// <summary>What <see cref="TryTake"/> filled; a disk operation may use it up.</summary>
    internal IoVectors Pieces { get; } = new();

    /// <summary>Why the memory ended, or None: OFS where the table is too short, HBFS where it points nowhere.</summary>
    internal PortInterrupt Fault { get; private set; }

    /// <summary>The bytes that have been moved: what PRDBC reports.</summary>
    internal uint Transferred { get; private set; }

    /// <summary>Whether an entry with the I bit was handed out whole.</summary>
    internal bool RaisesDescriptorProcessed { get; private set; }

    internal void Start(GuestMemory memory, ulong table, int entries)
    {
        _memory = memory;
        _table = table;
        _entries = entries;
        _next = 0;
        _left = 0;
        _interruptAtEnd = false;
        Pieces.Clear();
        Fault = PortInterrupt.None;
        Transferred = 0;
        RaisesDescriptorProcessed = false;
    }

    /// <summary>
    /// Fills <see cref="Pieces"/> with the next <paramref name="bytes"/> bytes, or with fewer, a multiple of the sector
    /// size, where the table is too scattered for one disk operation.
    /// </summary>
    /// <param name="bytes">How many are wanted, a multiple of the sector size.</param>
    /// <param name="deviceWrites">Whether the device writes there.</param>
    /// <returns>False when there is a <see cref="Fault"/>, or the command was abandoned.</returns>
    internal bool TryTake(long bytes, bool deviceWrites)
    {
        Pieces.Clear();
        if (abandoned.IsRaised || Fault != PortInterrupt.None) return false;
        while (bytes > 0)
        {
            var inSector = Pieces.TotalBytes % HostClassDriver.SectorBytes;
            if (Pieces.Count >= SplitAfter && inSector == 0) break;
            if (_left == 0 && !TryNextEntry()) return false;
            var n = Math.Min(_left, bytes);
            if (Pieces.Count >= SplitAfter) n = Math.Min(n, HostClassDriver.SectorBytes - inSector);
            if (!_memory.TryAppend(_address, (ulong)n, deviceWrites, Pieces)) return Fail(PortInterrupt.HBFS);
            _address += (ulong)n;
            _left -= n;
            bytes -= n;
            if (_left == 0) RaisesDescriptorProcessed |= _interruptAtEnd;
        }
        return true;
    }

    /// <summary>Counts bytes as moved.</summary>
    internal void Moved(long bytes) => Transferred += (uint)bytes;

    /// <summary>Moves bytes of the device's own into guest memory.</summary>
    internal bool TrySend(ReadOnlySpan<byte> data)
    {
        if (!TryTake(data.Length, deviceWrites: true)) return false;
        Moved(Pieces.CopyFrom(data));
        return true;
    }

    /// <summary>Moves one sector of guest memory into the device's own.</summary>
    internal bool TryReceive(Span<byte> sector)
    {
        if (!TryTake(sector.Length, deviceWrites: false)) return false;
        Moved(Pieces.CopyTo(sector));
        return true;
    }

    private bool TryNextEntry()
    {
        if (_next == _entries) return Fail(PortInterrupt.OFS | PortInterrupt.IFS);
        var at = _table + (ulong)_next++ * PrdtEntry.SizeInBytes;
        if (!_memory.TryRead<PrdtEntry>(at, out var entry)) return Fail(PortInterrupt.HBFS);
        var count = entry.ByteCount;
        // Words only: the address is even, and so is the count (§4.2.3.3).
        if ((entry.Address & 1) != 0 || (count & 1) != 0) return Fail(PortInterrupt.HBFS);
        _address = entry.Address;
        _left = count;
        _interruptAtEnd = entry.Interrupt;
        return true;
    }

    private bool Fail(PortInterrupt fault)
    {
        Fault = fault;
        return false;
    }
}
