using System.Runtime.InteropServices;
using VmShunt.HostPartition.HardwareStack;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.HostPartition.VirtioBlk;

/// <summary>
/// Carries out one chain after another. Any layout of header, data and status over descriptors is understood (virtio 1.3
/// §2.7.4.2). One a queue thread: it owns the scratch lists; nothing is allocated per request.
/// </summary>
internal sealed class VirtioBlkRequestProcessor(VirtioBlkDevice device, GuestMemory memory)
{
    private const int IdBytes = 20;

    private readonly IoVectors _out = new();
    private readonly IoVectors _in = new();
    private readonly byte[] _ranges = new byte[VirtioBlkRange.Bytes * 17];

    /// <summary>Processes a chain and writes its status.</summary>
    /// <returns>The bytes written into the guest's memory, counted from the start of the writable part (used.len).</returns>
    internal uint Process(DescriptorChain chain)
    {
        // No place for a status: the chain is given back with nothing written.
        if (!TryFindStatus(chain, out var statusAddress)) return 0;
        var (status, written) = Execute(chain);
        return memory.TryWrite(statusAddress, (byte)status) ? written + 1 : 0;
    }

    private (VirtioBlkStatus Status, uint Written) Execute(DescriptorChain chain)
    {
        if (!TryCollect(chain.Readable, deviceWrites: false, _out) || !TryCollect(chain.Writable, deviceWrites: true, _in))
            return (VirtioBlkStatus.IoError, 0);
        _in.Truncate(_in.TotalBytes - 1);

        VirtioBlkRequestHeader header = default;
        if (_out.CopyTo(MemoryMarshal.AsBytes(new Span<VirtioBlkRequestHeader>(ref header))) < VirtioBlkRequestHeader.Bytes)
            return (VirtioBlkStatus.IoError, 0);
        _out.Skip(VirtioBlkRequestHeader.Bytes);

        switch (header.Type)
        {
            case VirtioBlkRequestType.In:
                return Read(header.Sector);
            case VirtioBlkRequestType.Out:
                return (Write(header.Sector), 0);
            case VirtioBlkRequestType.Flush:
                return (VirtioBlkDevice.ToVirtio(device.Disk.Flush()), 0);
            case VirtioBlkRequestType.GetId:
                return GetId();
            case VirtioBlkRequestType.Discard:
            case VirtioBlkRequestType.WriteZeroes:
                if (_out.TotalBytes >= _ranges.Length) return (VirtioBlkStatus.IoError, 0);
                var bytes = _out.CopyTo(_ranges);
                return (device.ApplyRanges(header.Type, _ranges.AsSpan(0, bytes)), 0);
            default:
                return (VirtioBlkStatus.Unsupported, 0);
        }
    }

    private (VirtioBlkStatus Status, uint Written) Read(ulong sector)
    {
        var bytes = _in.TotalBytes;
        if (bytes % DiskClassDriver.SectorBytes != 0 || bytes >= uint.MaxValue) return (VirtioBlkStatus.IoError, 0);
        var status = device.Disk.Read(sector, _in);
        return (VirtioBlkDevice.ToVirtio(status), status == DiskStatus.Ok ? (uint)bytes : 0);
    }

    private VirtioBlkStatus Write(ulong sector)
    {
        if (_out.TotalBytes % DiskClassDriver.SectorBytes != 0) return VirtioBlkStatus.IoError;
        var status = device.Disk.Write(sector, _out);
        if (status == DiskStatus.Ok && device.IsWriteThrough) status = device.Disk.Flush();
        return VirtioBlkDevice.ToVirtio(status);
    }

    private (VirtioBlkStatus Status, uint Written) GetId()
    {
        Span<byte> id = stackalloc byte[IdBytes];
        device.WriteId(id);
        return (VirtioBlkStatus.Ok, (uint)_in.CopyFrom(id));
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
