using System.Runtime.InteropServices;
using VmShunt.HostPartition.Disk;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.HostPartition.VirtioBlk;

/// <summary>
/// Carries out one chain after another. Any layout of header, data and status over descriptors is understood (virtio 1.3
/// §2.7.4.2). One a queue thread: it owns the scratch lists; nothing is allocated per request.
/// </summary>
/// <param name="device">The device.</param>
/// <param name="memory">The guest's memory.</param>
/// <param name="stop">Raised when requests must not wait for room on a full disk any longer.</param>
internal sealed class VirtioBlkRequestProcessor(VirtioBlkDevice device, GuestMemory memory, SharedFlag stop)
{
    private const int IdBytes = 20;

    // What takes longer is not to be waited for by other rings: moving as much as this takes tens of microseconds.
    private const long LongBytes = 256 << 10;

    private readonly IoVectors _out = new();
    private readonly IoVectors _in = new();
    private readonly byte[] _ranges = new byte[VirtioBlkRange.Bytes * ((int)VirtioBlkConfigSpace.MaxRanges + 1)];

    // What the device may write before the status, of the chain at hand; none where that is outside memory.
    private long _room;
    private MemoryWindow _lastHeader;

    /// <summary>Whether a request that may take long is left to be processed again, by somebody whom nobody waits for.</summary>
    internal bool LeavesLong { get; set; }

    /// <summary>Processes a chain and writes its status.</summary>
    /// <param name="chain">The chain.</param>
    /// <param name="nextRead">From <see cref="SectorToRead"/>: where the next chain will read; a hint.</param>
    /// <param name="written">The bytes written into the guest's memory, counted from the start of the writable part (used.len).</param>
    /// <returns>
    /// False when it was stopped while it waited for room, or left because it may take long: no status was written, and it
    /// may be processed again.
    /// </returns>
    internal bool TryProcess(DescriptorChain chain, ulong nextRead, out uint written)
    {
        written = 0;
        if (LeavesLong && IsLong(chain)) return false;
        // No place for a status: the chain is given back with nothing written.
        if (!TryFindStatus(chain, out var statusAddress)) return true;
        var status = Execute(chain, nextRead, out var data);
        if (status == DiskStatus.Stopped) return false;
        // Counted from the start without a gap: the status only where it comes right after (virtio 1.3 §2.7.8.2).
        written = memory.TryWrite(statusAddress, (byte)ToVirtio(status)) && data == _room ? data + 1 : data;
        return true;
    }

    /// <summary>
    /// Whether the device reads nothing of a chain but a header, so that its request writes nothing to the disk: such a
    /// request never waits for room.
    /// </summary>
    internal static bool IsHeaderOnly(DescriptorChain chain) => chain.Readable.Length == 1 && chain.Readable[0].Length == VirtioBlkRequestHeader.Bytes;

    /// <summary>Where a chain will read, as far as one can say before it is processed: the guest may change it until then.</summary>
    /// <returns><see cref="HostClassDriver.NoSector"/> when it does not seem to be a read.</returns>
    internal ulong SectorToRead(DescriptorChain chain)
    {
        if (!IsHeaderOnly(chain) || !memory.TryGetWindow(chain.Readable[0].Address, VirtioBlkRequestHeader.Bytes, out var window)) return HostClassDriver.NoSector;
        var header = window.Read<VirtioBlkRequestHeader>(0);
        return header.Type == VirtioBlkRequestType.In ? header.Sector : HostClassDriver.NoSector;
    }

    /// <summary>Reads a request that is a read or write with nothing unusual about it.</summary>
    /// <param name="chain">The chain.</param>
    /// <param name="data">Gets the data's pieces.</param>
    /// <param name="request">The request.</param>
    /// <returns>False when it is anything else; then <see cref="TryProcess"/> has the answer.</returns>
    internal bool TryReadPlain(DescriptorChain chain, IoVectors data, out PlainRequest request)
    {
        request = default;
        if (!TryFindStatus(chain, out var status) || !TryReadHeader(chain, out var header, out var isWhole) || !isWhole) return false;
        var isWrite = header.Type == VirtioBlkRequestType.Out;
        if ((!isWrite && header.Type != VirtioBlkRequestType.In) || (ClassOf(header.Type) & ~device.Implemented) != 0) return false;
        if (!TryCollect(isWrite ? chain.Readable : chain.Writable, deviceWrites: !isWrite, data)) return false;
        if (isWrite)
        {
            // Nothing to write but the status.
            if (chain.Writable.Length != 1 || chain.Writable[0].Length != 1) return false;
            data.Skip(VirtioBlkRequestHeader.Bytes);
        }
        else
        {
            data.Truncate(data.TotalBytes - 1);
        }
        request = new PlainRequest(isWrite, header.Sector, data.TotalBytes, status);
        return request.Bytes > 0 && request.Bytes % HostClassDriver.SectorBytes == 0 && request.Bytes < int.MaxValue;
    }

    /// <summary>Writes the status of a request that was carried out elsewhere.</summary>
    /// <returns>As of <see cref="TryProcess"/>.</returns>
    internal uint Answer(in PlainRequest request, DiskStatus status)
    {
        var isComplete = memory.TryWrite(request.StatusAddress, (byte)ToVirtio(status));
        if (request.IsWrite) return isComplete ? 1u : 0;
        if (status != DiskStatus.Ok) return 0;
        return (uint)request.Bytes + (isComplete ? 1u : 0);
    }

    /// <summary>Writes the status of a chain that is not processed.</summary>
    /// <returns>As of <see cref="TryProcess"/>.</returns>
    internal uint Fail(DescriptorChain chain) =>
        TryFindStatus(chain, out var statusAddress) && memory.TryWrite(statusAddress, (byte)VirtioBlkStatus.IoError) && chain.Writable[0].Length == 1 ? 1u : 0;

    private static VirtioBlkStatus ToVirtio(DiskStatus status) => status switch
    {
        DiskStatus.Ok => VirtioBlkStatus.Ok,
        DiskStatus.Unsupported => VirtioBlkStatus.Unsupported,
        _ => VirtioBlkStatus.IoError,
    };

    private DiskStatus Execute(DescriptorChain chain, ulong nextRead, out uint written)
    {
        written = 0;
        _room = -1;
        if (!TryReadHeader(chain, out var header, out var isWhole) || !TryCollect(chain.Writable, deviceWrites: true, _in)) return DiskStatus.IoError;
        _room = _in.TotalBytes - 1;
        _in.Truncate(_room);
        if (!isWhole) return DiskStatus.IoError;

        if ((ClassOf(header.Type) & ~device.Implemented) != 0) return DiskStatus.Unsupported;
        switch (header.Type)
        {
            case VirtioBlkRequestType.In:
                return Read(header.Sector, nextRead, out written);
            case VirtioBlkRequestType.Out:
                return _out.TotalBytes % HostClassDriver.SectorBytes == 0 ? device.Disk.Write(header.Sector, _out, stop) : DiskStatus.IoError;
            case VirtioBlkRequestType.Flush:
                return device.Disk.Flush();
            case VirtioBlkRequestType.GetId:
                Span<byte> id = stackalloc byte[IdBytes];
                device.WriteId(id);
                written = (uint)_in.CopyFrom(id);
                return DiskStatus.Ok;
            case VirtioBlkRequestType.Discard:
            case VirtioBlkRequestType.WriteZeroes:
                if (_out.TotalBytes >= _ranges.Length) return DiskStatus.IoError;
                var bytes = _out.CopyTo(_ranges);
                if (LeavesLong && AreLong(_ranges.AsSpan(0, bytes))) return DiskStatus.Stopped;
                return device.ApplyRanges(header.Type, _ranges.AsSpan(0, bytes), stop);
            default:
                return DiskStatus.Unsupported;
        }
    }

    /// <summary>Has the next request's header come along with the ring's own line, if it lies where the last one lay.</summary>
    internal void ExpectHeader() => _lastHeader.Prefetch(0);

    /// <summary>Reads the header; what follows it for the device to read is then in the list.</summary>
    /// <returns>False where what is to be read is outside memory.</returns>
    private bool TryReadHeader(DescriptorChain chain, out VirtioBlkRequestHeader header, out bool isWhole)
    {
        var readable = chain.Readable;
        if (readable.Length > 0 && readable[0].Length == VirtioBlkRequestHeader.Bytes && memory.TryGetWindow(readable[0].Address, VirtioBlkRequestHeader.Bytes, out _lastHeader))
        {
            header = _lastHeader.Read<VirtioBlkRequestHeader>(0);
            isWhole = true;
            return TryCollect(readable[1..], deviceWrites: false, _out);
        }
        header = default;
        isWhole = false;
        if (!TryCollect(readable, deviceWrites: false, _out)) return false;
        isWhole = _out.CopyTo(MemoryMarshal.AsBytes(new Span<VirtioBlkRequestHeader>(ref header))) == VirtioBlkRequestHeader.Bytes;
        if (isWhole) _out.Skip(VirtioBlkRequestHeader.Bytes);
        return true;
    }

    private static bool IsLong(DescriptorChain chain)
    {
        var bytes = 0L;
        foreach (var segment in chain.Readable) bytes += segment.Length;
        foreach (var segment in chain.Writable) bytes += segment.Length;
        return bytes > LongBytes;
    }

    private static bool AreLong(ReadOnlySpan<byte> ranges)
    {
        var sectors = 0L;
        foreach (var range in MemoryMarshal.Cast<byte, VirtioBlkRange>(ranges)) sectors += range.SectorCount;
        return sectors > LongBytes / HostClassDriver.SectorBytes;
    }

    private static RequestTypes ClassOf(VirtioBlkRequestType type) => type switch
    {
        VirtioBlkRequestType.In => RequestTypes.Read,
        VirtioBlkRequestType.Out => RequestTypes.Write,
        VirtioBlkRequestType.Flush => RequestTypes.Flush,
        VirtioBlkRequestType.Discard => RequestTypes.Discard,
        VirtioBlkRequestType.WriteZeroes => RequestTypes.WriteZeroes,
        _ => RequestTypes.None,
    };

    private DiskStatus Read(ulong sector, ulong next, out uint written)
    {
        written = 0;
        var bytes = _in.TotalBytes;
        if (bytes % HostClassDriver.SectorBytes != 0 || bytes >= uint.MaxValue) return DiskStatus.IoError;
        var status = device.Disk.Read(sector, _in, next);
        if (status == DiskStatus.Ok) written = (uint)bytes;
        return status;
    }

    /// <summary>The status is the last byte that the device may write.</summary>
    private static bool TryFindStatus(DescriptorChain chain, out ulong address)
    {
        var writable = chain.Writable;
        for (var i = writable.Length - 1; i >= 0; i--)
        {
            if (writable[i].Length == 0) continue;
            address = writable[i].Address + writable[i].Length - 1;
            return true;
        }
        address = 0;
        return false;
    }

    private bool TryCollect(ReadOnlySpan<DescriptorChain.Segment> segments, bool deviceWrites, IoVectors target)
    {
        target.Clear();
        foreach (var segment in segments)
        {
            if (!memory.TryAppend(segment.Address, segment.Length, deviceWrites, target)) return false;
        }
        return true;
    }
}
