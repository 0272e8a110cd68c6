using System.Runtime.InteropServices;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.BlockBackend.VirtioBlk;

/// <summary>
/// Executes the requests of one ring. Header, data and status may be split over descriptors in any way (virtio 1.3
/// §2.7.4.2). One thread; it allocates nothing per request.
/// </summary>
/// <param name="device">The device.</param>
/// <param name="memory">The guest's memory.</param>
/// <param name="stop">Cancels a wait for free space on a full disk.</param>
/// <param name="calls">Calls of the disk that a stop may abandon; null where it may not.</param>
internal sealed class VirtioBlkRequestProcessor(VirtioBlkDevice device, GuestMemory memory, SharedFlag stop, DeviceCalls? calls = null)
{
    private const int IdBytes = 20;

    // A longer request would block other rings of the same thread: copying this much takes tens of microseconds.
    private const long LongBytes = 256 << 10;

    private readonly IoVectors _out = new();
    private readonly IoVectors _in = new();
    private readonly byte[] _ranges = new byte[VirtioBlkRange.Bytes * ((int)VirtioBlkConfigSpace.MaxRanges + 1)];

    // Device-writable bytes before the status of the current chain; −1 where they are outside guest memory.
    private long _writableBytes;
    private MemoryWindow _lastHeader;

    /// <summary>Whether to defer a long request, so that another thread executes it.</summary>
    internal bool DefersLong { get; set; }

    /// <summary>Executes the request of a chain and writes its status.</summary>
    /// <param name="chain">The chain.</param>
    /// <param name="nextRead">The sector that the next chain reads, from <see cref="SectorToRead"/>: a hint.</param>
    /// <param name="written">The bytes written, counted from the start of the device-writable part (used.len).</param>
    /// <returns>
    /// False when the request was cancelled while it waited for free space, deferred because it is long, or abandoned: no status
    /// was written, and it may be executed again.
    /// </returns>
    internal bool TryProcess(DescriptorChain chain, ulong nextRead, out uint written)
    {
        written = 0;
        if (DefersLong && IsLong(chain)) return false;
        // A chain without a byte for the status is returned with nothing written.
        if (!TryFindStatus(chain, out var statusAddress)) return true;
        var status = Execute(chain, nextRead, out var data);
        if (status == DiskStatus.Stopped) return false;
        // used.len counts without a gap: the status is included only where it follows the data (virtio 1.3 §2.7.8.2).
        written = memory.TryWrite(statusAddress, (byte)ToVirtio(status)) && data == _writableBytes ? data + 1 : data;
        return true;
    }

    /// <summary>
    /// Whether a chain's only device-readable part is a header: the request writes no data to the disk, and so never waits for
    /// free space.
    /// </summary>
    internal static bool IsHeaderOnly(DescriptorChain chain) => chain.Readable.Length == 1 && chain.Readable[0].Length == VirtioBlkRequestHeader.Bytes;

    /// <summary>The sector that a chain reads: a hint, because the guest may change the header until it is executed.</summary>
    /// <returns><see cref="HostClassDriver.NoSector"/> where it is not a read.</returns>
    internal ulong SectorToRead(DescriptorChain chain)
    {
        if (!IsHeaderOnly(chain) || !memory.TryGetWindow(chain.Readable[0].Address, VirtioBlkRequestHeader.Bytes, out var window)) return HostClassDriver.NoSector;
        var header = window.Read<VirtioBlkRequestHeader>(0);
        return header.Type == VirtioBlkRequestType.In ? header.Sector : HostClassDriver.NoSector;
    }

    /// <summary>Whether a chain changes the disk; also where its type is none that is known to change nothing.</summary>
    internal bool IsChange(DescriptorChain chain) =>
        !TryReadHeader(chain, out var header, out var isWhole) || !isWhole
        || header.Type is not (VirtioBlkRequestType.In or VirtioBlkRequestType.Flush or VirtioBlkRequestType.GetId);

    /// <summary>Decodes a well-formed read or write.</summary>
    /// <param name="chain">The chain.</param>
    /// <param name="data">Is filled with the data buffers.</param>
    /// <param name="request">The request.</param>
    /// <returns>False for any other request, which <see cref="TryProcess"/> executes.</returns>
    internal bool TryDecodePlain(DescriptorChain chain, IoVectors data, out PlainRequest request)
    {
        request = default;
        if (!TryFindStatus(chain, out var status) || !TryReadHeader(chain, out var header, out var isWhole) || !isWhole) return false;
        var isWrite = header.Type == VirtioBlkRequestType.Out;
        if ((!isWrite && header.Type != VirtioBlkRequestType.In) || (TypeOf(header.Type) & ~device.Implemented) != 0) return false;
        if (!TryCollect(isWrite ? chain.Readable : chain.Writable, deviceWrites: !isWrite, data)) return false;
        if (isWrite)
        {
            // The status must be the only device-writable byte.
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

    /// <summary>Writes the status of a request from <see cref="TryDecodePlain"/>.</summary>
    /// <returns>used.len.</returns>
    internal uint Complete(in PlainRequest request, DiskStatus status)
    {
        var isComplete = memory.TryWrite(request.StatusAddress, (byte)ToVirtio(status));
        if (request.IsWrite) return isComplete ? 1u : 0;
        if (status != DiskStatus.Ok) return 0;
        return (uint)request.Bytes + (isComplete ? 1u : 0);
    }

    /// <summary>Completes a chain with IOERR without executing it.</summary>
    /// <returns>used.len.</returns>
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
        _writableBytes = -1;
        if (!TryReadHeader(chain, out var header, out var isWhole) || !TryCollect(chain.Writable, deviceWrites: true, _in)) return DiskStatus.IoError;
        _writableBytes = _in.TotalBytes - 1;
        _in.Truncate(_writableBytes);
        if (!isWhole) return DiskStatus.IoError;

        if ((TypeOf(header.Type) & ~device.Implemented) != 0) return DiskStatus.Unsupported;
        switch (header.Type)
        {
            case VirtioBlkRequestType.In:
                return Read(header.Sector, nextRead, out written);
            case VirtioBlkRequestType.Out:
                return _out.TotalBytes % HostClassDriver.SectorBytes == 0 ? Write(header.Sector, _out) : DiskStatus.IoError;
            case VirtioBlkRequestType.Flush:
                calls?.Enter();
                return Leave(device.Flush());
            case VirtioBlkRequestType.GetId:
                Span<byte> id = stackalloc byte[IdBytes];
                device.WriteId(id);
                written = (uint)_in.CopyFrom(id);
                return DiskStatus.Ok;
            case VirtioBlkRequestType.Discard:
            case VirtioBlkRequestType.WriteZeroes:
                if (_out.TotalBytes >= _ranges.Length) return DiskStatus.IoError;
                var bytes = _out.CopyTo(_ranges);
                if (DefersLong && AreLong(_ranges.AsSpan(0, bytes))) return DiskStatus.Stopped;
                calls?.Enter();
                return Leave(device.ApplyRanges(header.Type, _ranges.AsSpan(0, bytes), stop));
            default:
                return DiskStatus.Unsupported;
        }
    }

    /// <summary>Prefetches the address of the last header: drivers often reuse it for the next request.</summary>
    internal void PrefetchHeader() => _lastHeader.Prefetch(0);

    /// <summary>Reads the header, and collects the device-readable data after it.</summary>
    /// <returns>False where the device-readable part is outside guest memory.</returns>
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

    private static RequestTypes TypeOf(VirtioBlkRequestType type) => type switch
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
        var status = Read(sector, _in, next);
        if (status == DiskStatus.Ok) written = (uint)bytes;
        return status;
    }

    /// <summary>Reads from the disk.</summary>
    /// <returns><see cref="DiskStatus.Stopped"/> when the request was abandoned.</returns>
    internal DiskStatus Read(ulong sector, IoVectors target, ulong next = HostClassDriver.NoSector)
    {
        calls?.Enter();
        return Leave(device.Disk.Read(sector, target, next));
    }

    /// <summary>Writes to the disk.</summary>
    /// <returns><see cref="DiskStatus.Stopped"/> when the request was abandoned, or cancelled while it waited for free space.</returns>
    internal DiskStatus Write(ulong sector, IoVectors source)
    {
        calls?.Enter();
        return Leave(device.Disk.Write(sector, source, stop));
    }

    private DiskStatus Leave(DiskStatus status) => calls?.TryLeave() == false ? DiskStatus.Stopped : status;

    /// <summary>The status is the last device-writable byte.</summary>
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
