using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;

namespace VmShunt.AhciBackend.Controller;

/// <summary>
/// Walks the PRDT of one command (AHCI 1.3.1 §4.2.3.3) and returns its memory as lists for disk operations. It reads each
/// entry once and in order, and stops at the first fault and when the command is aborted. Worker thread only.
/// </summary>
internal sealed class PrdtCursor(SharedFlag aborted)
{
    // A list of this many pieces ends at the next sector. The rest of a sector is at most 256 pieces, because an entry has at
    // least two bytes; that leaves enough for entries that cross memory regions.
    private const int SplitAfter = IoVectors.MaxPieces / 2;

    private GuestMemory _memory = null!;
    private ulong _table;
    private int _entries, _next;
    private ulong _address;
    private long _left;
    private bool _interruptAtEnd;

    /// <summary>The list that <see cref="TryGather"/> fills; a disk operation may consume it.</summary>
    internal IoVectors Pieces { get; } = new();

    /// <summary>None, or the fault: OFS where the table is too short, HBFS where an entry is invalid or outside guest memory.</summary>
    internal PortInterrupt Fault { get; private set; }

    /// <summary>The bytes transferred (PRDBC).</summary>
    internal uint Transferred { get; private set; }

    /// <summary>Whether an entry with the I bit was used up.</summary>
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
    /// Fills <see cref="Pieces"/> with the next <paramref name="bytes"/> bytes, or with fewer whole sectors where the table
    /// has too many entries for one disk operation.
    /// </summary>
    /// <param name="bytes">A multiple of the sector size.</param>
    /// <param name="deviceWrites">Whether the device writes to the memory.</param>
    /// <returns>False when there is a <see cref="Fault"/>, or the command was aborted.</returns>
    internal bool TryGather(long bytes, bool deviceWrites)
    {
        Pieces.Clear();
        if (aborted.IsRaised || Fault != PortInterrupt.None) return false;
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

    internal void CountTransferred(long bytes) => Transferred += (uint)bytes;

    /// <summary>Copies the device's data into guest memory.</summary>
    internal bool TrySend(ReadOnlySpan<byte> data)
    {
        if (!TryGather(data.Length, deviceWrites: true)) return false;
        CountTransferred(Pieces.CopyFrom(data));
        return true;
    }

    /// <summary>Copies one sector from guest memory.</summary>
    internal bool TryReceive(Span<byte> sector)
    {
        if (!TryGather(sector.Length, deviceWrites: false)) return false;
        CountTransferred(Pieces.CopyTo(sector));
        return true;
    }

    private bool TryNextEntry()
    {
        if (_next == _entries) return Fail(PortInterrupt.OFS | PortInterrupt.IFS);
        var at = _table + (ulong)_next++ * PrdtEntry.SizeInBytes;
        if (!_memory.TryRead<PrdtEntry>(at, out var entry)) return Fail(PortInterrupt.HBFS);
        var count = entry.ByteCount;
        // Address and byte count must be even (§4.2.3.3).
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
