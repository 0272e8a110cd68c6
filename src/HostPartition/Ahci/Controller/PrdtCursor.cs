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
    // After this many ranges the next sector ends a gathering.
    private const int SplitAfter = 512;
    private const int SmallestEntry = 2;

    private readonly (ulong Address, ulong Bytes)[] _ranges = new (ulong, ulong)[SplitAfter + blockBytes / SmallestEntry];
    // The pieces of one range: it may cross memory regions.
    private readonly IoVectors _pieces = new();
    private ulong _table;
    private int _entries, _next, _count;
    private ulong _address;
    private long _left;
    private bool _interruptAtEnd;

    /// <summary>The bytes that <see cref="TryGather"/> gathered.</summary>
    internal int Gathered { get; private set; }

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
        _next = _count = Gathered = 0;
        _left = 0;
        _interruptAtEnd = false;
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
        _count = Gathered = 0;
        if (Fault != PortInterrupt.None) return false;
        using var scope = gate.Enter(out var memory);
        if (memory is null) return FailUnlessAborted();
        while (Gathered < bytes)
        {
            var inSector = Gathered % blockBytes;
            if (_count >= SplitAfter && inSector == 0) break;
            if (_left == 0 && !TryNextEntry(memory)) return false;
            var n = (int)Math.Min(_left, _count >= SplitAfter ? blockBytes - inSector : bytes - Gathered);
            if (!TryTranslate(memory, (_address, (ulong)n), deviceWrites)) return false;
            _ranges[_count++] = (_address, (ulong)n);
            _address += (ulong)n;
            _left -= n;
            Gathered += n;
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
        if (memory is null) return FailUnlessAborted();
        foreach (var range in _ranges.AsSpan(0, _count))
        {
            if (!TryTranslate(memory, range, deviceWrites: false)) return false;
            var n = _pieces.CopyTo(data);
            Transferred += (uint)n;
            data = data[n..];
        }
        return true;
    }

    /// <summary>Copies the device's data to the gathered bytes.</summary>
    /// <param name="data">As many bytes as were gathered.</param>
    /// <returns>False when there is a <see cref="Fault"/>, or the command was aborted.</returns>
    internal bool TryStore(ReadOnlySpan<byte> data)
    {
        using var scope = gate.Enter(out var memory);
        if (memory is null) return FailUnlessAborted();
        foreach (var range in _ranges.AsSpan(0, _count))
        {
            if (!TryTranslate(memory, range, deviceWrites: true)) return false;
            var n = _pieces.CopyFrom(data);
            Transferred += (uint)n;
            data = data[n..];
        }
        return true;
    }

    /// <summary>Copies the device's data into guest memory.</summary>
    internal bool TrySend(ReadOnlySpan<byte> data) => TryGather(data.Length, deviceWrites: true) && TryStore(data);

    /// <summary>Copies one sector from guest memory.</summary>
    internal bool TryReceive(Span<byte> sector) => TryGather(sector.Length, deviceWrites: false) && TryLoad(sector);

    // The client may replace its map between two calls, so a range is translated for each.
    private bool TryTranslate(GuestMemory memory, (ulong Address, ulong Bytes) range, bool deviceWrites)
    {
        _pieces.Clear();
        return memory.TryAppend(range.Address, range.Bytes, deviceWrites, _pieces) || Fail(PortInterrupt.HBFS);
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
    private bool FailUnlessAborted() => !gate.Aborted.IsRaised && Fail(PortInterrupt.HBFS);

    private bool Fail(PortInterrupt fault)
    {
        Fault = fault;
        return false;
    }
}
