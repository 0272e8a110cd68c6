using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;

namespace VmShunt.AhciBackend.Controller;

/// <summary>
/// Walks the PRDT of one command (AHCI 1.3.1 §4.2.3.3) and copies between its memory and a private buffer. It reads each
/// entry once and in order, and stops at the first fault and when the command is aborted. Guest memory may be replaced at any
/// time between two calls. Worker thread only.
/// </summary>
/// <param name="gate">The memory.</param>
/// <param name="blockBytes">The size of a logical sector.</param>
internal sealed class PrdtCursor(DmaGate gate, int blockBytes)
{
    // A list of this many pieces ends at the next sector. The rest of a sector of 512 bytes is at most 256 pieces, because an
    // entry has at least two bytes; that leaves enough for entries that cross memory regions.
    private const int SplitAfter = IoVectors.MaxPieces / 2;

    private readonly IoVectors _pieces = new();
    private readonly (ulong Address, ulong Bytes)[] _ranges = new (ulong, ulong)[IoVectors.MaxPieces];
    private GuestMemory? _translated;
    private ulong _table;
    private int _entries, _next, _count;
    private ulong _address;
    private long _left;
    private bool _interruptAtEnd;

    /// <summary>The bytes that <see cref="TryGather"/> gathered.</summary>
    internal int Gathered => (int)_pieces.TotalBytes;

    /// <summary>None, or the fault: OFS where the table is too short, HBFS where an entry is invalid or outside guest memory.</summary>
    internal PortInterrupt Fault { get; private set; }

    /// <summary>The bytes transferred (PRDBC).</summary>
    internal uint Transferred { get; private set; }

    /// <summary>Whether an entry with the I bit was used up.</summary>
    internal bool RaisesDescriptorProcessed { get; private set; }

    internal void Start(ulong table, int entries)
    {
        _table = table;
        _entries = entries;
        _next = _count = 0;
        _left = 0;
        _interruptAtEnd = false;
        _pieces.Clear();
        Fault = PortInterrupt.None;
        Transferred = 0;
        RaisesDescriptorProcessed = false;
    }

    /// <summary>Finds the memory of the next <paramref name="bytes"/> bytes, or of fewer whole sectors where the table has too many entries.</summary>
    /// <param name="bytes">A multiple of the sector size.</param>
    /// <param name="deviceWrites">Whether the device writes to the memory.</param>
    /// <returns>False when there is a <see cref="Fault"/>, or the command was aborted.</returns>
    internal bool TryGather(long bytes, bool deviceWrites)
    {
        _pieces.Clear();
        _count = 0;
        if (Fault != PortInterrupt.None) return false;
        using var scope = gate.Enter(out _translated);
        if (_translated is null) return FailUnlessAborted();
        while (bytes > 0)
        {
            var inSector = _pieces.TotalBytes % blockBytes;
            if (_count >= SplitAfter && inSector == 0) break;
            if (_left == 0 && !TryNextEntry(_translated)) return false;
            var n = Math.Min(_left, bytes);
            if (_count >= SplitAfter) n = Math.Min(n, blockBytes - inSector);
            if (!_translated.TryAppend(_address, (ulong)n, deviceWrites, _pieces)) return Fail(PortInterrupt.HBFS);
            _ranges[_count++] = (_address, (ulong)n);
            _address += (ulong)n;
            _left -= n;
            bytes -= n;
            if (_left == 0) RaisesDescriptorProcessed |= _interruptAtEnd;
        }
        return true;
    }

    /// <summary>Copies the gathered bytes out of guest memory, once.</summary>
    /// <param name="data">As many bytes as were gathered.</param>
    /// <returns>False when there is a <see cref="Fault"/>, or the command was aborted.</returns>
    internal bool TryLoad(Span<byte> data)
    {
        using var scope = gate.Enter(out var memory);
        if (!TryTranslate(memory, deviceWrites: false)) return false;
        CountTransferred(_pieces.CopyTo(data));
        return true;
    }

    /// <summary>Copies the device's data to the gathered bytes.</summary>
    /// <param name="data">As many bytes as were gathered.</param>
    /// <returns>False when there is a <see cref="Fault"/>, or the command was aborted: nothing was copied.</returns>
    internal bool TryStore(ReadOnlySpan<byte> data)
    {
        using var scope = gate.Enter(out var memory);
        if (!TryTranslate(memory, deviceWrites: true)) return false;
        CountTransferred(_pieces.CopyFrom(data));
        return true;
    }

    /// <summary>Copies the device's data into guest memory.</summary>
    internal bool TrySend(ReadOnlySpan<byte> data) => TryGather(data.Length, deviceWrites: true) && TryStore(data);

    /// <summary>Copies one sector from guest memory.</summary>
    internal bool TryReceive(Span<byte> sector) => TryGather(sector.Length, deviceWrites: false) && TryLoad(sector);

    private void CountTransferred(int bytes) => Transferred += (uint)bytes;

    // The client may have changed its map since the ranges were gathered.
    private bool TryTranslate(GuestMemory? memory, bool deviceWrites)
    {
        if (memory is null) return FailUnlessAborted();
        if (memory == _translated) return true;
        _translated = memory;
        _pieces.Clear();
        foreach (var (address, bytes) in _ranges.AsSpan(0, _count))
            if (!memory.TryAppend(address, bytes, deviceWrites, _pieces)) return Fail(PortInterrupt.HBFS);
        return true;
    }

    private bool TryNextEntry(GuestMemory memory)
    {
        if (_next == _entries) return Fail(PortInterrupt.OFS | PortInterrupt.IFS);
        var at = _table + (ulong)_next++ * PrdtEntry.SizeInBytes;
        if (!memory.TryRead<PrdtEntry>(at, out var entry)) return Fail(PortInterrupt.HBFS);
        var count = entry.ByteCount;
        // Address and byte count must be even (§4.2.3.3).
        if ((entry.Address & 1) != 0 || (count & 1) != 0) return Fail(PortInterrupt.HBFS);
        _address = entry.Address;
        _left = count;
        _interruptAtEnd = entry.Interrupt;
        return true;
    }

    // The outcome of an aborted command is not looked at.
    private bool FailUnlessAborted() => !gate.IsAborted && Fail(PortInterrupt.HBFS);

    private bool Fail(PortInterrupt fault)
    {
        Fault = fault;
        return false;
    }
}
