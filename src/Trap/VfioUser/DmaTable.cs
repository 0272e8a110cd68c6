using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Memory;

namespace VmShunt.Trap.VfioUser;

/// <summary>The client memory that a device may access: the ranges of DMA_MAP and DMA_UNMAP. One thread.</summary>
internal sealed class DmaTable : IDisposable
{
    /// <summary>The most ranges, announced as max_dma_maps ("VFIO_USER_VERSION").</summary>
    internal const int MaxEntries = 1024;

    private readonly IVfioUserDevice _device;
    private readonly SafeHandle _session;
    private readonly List<Entry> _entries = [];
    private GuestMemory? _memory;

    /// <param name="device">The device.</param>
    /// <param name="session">The client's socket; not owned.</param>
    internal DmaTable(IVfioUserDevice device, SafeHandle session) => (_device, _session) = (device, session);

    internal int Count => _entries.Count;

    /// <summary>Whether the client has truncated a file that it shares.</summary>
    internal bool WasTruncated => _entries.Exists(static entry => entry.Region?.WasTruncated == true);

    /// <summary>Adds a range ("VFIO_USER_DMA_MAP"). Without a file the device cannot access it: DMA_READ and DMA_WRITE are not used.</summary>
    internal Errno Map(in DmaMapRequest request, SafeFileHandle? file)
    {
        if (request.Size == 0 || request.Size > ulong.MaxValue - request.Address) return Errno.EINVAL;
        if ((request.Flags & ~(DmaMapRequest.Readable | DmaMapRequest.Writable | DmaMapRequest.Mappable)) != 0) return Errno.EINVAL;
        if ((request.Flags & DmaMapRequest.Mappable) != 0 && file is null) return Errno.EINVAL;
        if (_entries.Count >= MaxEntries) return Errno.ENOSPC;
        foreach (var entry in _entries)
        {
            if (request.Address < entry.Address + entry.Size && entry.Address < request.Address + request.Size) return Errno.EEXIST;
        }
        MemoryRegion? region = null;
        if (file is not null)
        {
            try
            {
                var writable = (request.Flags & DmaMapRequest.Writable) != 0;
                region = MemoryRegion.Map(file, request.FileOffset, request.Size, request.Address, writable: writable, session: _session);
            }
            catch (InvalidDataException)
            {
                return Errno.EINVAL;
            }
        }
        _entries.Add(new Entry(request.Address, request.Size, region));
        Publish();
        return Errno.None;
    }

    /// <summary>
    /// Removes every range inside the given one ("VFIO_USER_DMA_UNMAP"), or all. A client with an IOMMU unmaps powers of two, not
    /// what it mapped, and ranges where nothing is mapped. A range that would be cut is refused, and nothing changes.
    /// </summary>
    internal Errno Unmap(in DmaUnmapRequest request)
    {
        if (request.Flags == DmaUnmapRequest.All) return request is { Address: 0, Size: 0 } ? Clear() : Errno.EINVAL;
        if (request.Flags != 0) return request.Flags == DmaUnmapRequest.GetDirtyBitmap ? Errno.ENOTSUP : Errno.EINVAL;
        if (request.Size == 0 || request.Size - 1 > ulong.MaxValue - request.Address) return Errno.EINVAL;
        ulong first = request.Address, last = request.Address + (request.Size - 1);
        var inside = new List<Entry>();
        foreach (var entry in _entries)
        {
            if (entry.Last < first || entry.Address > last) continue;
            if (entry.Address < first || entry.Last > last) return Errno.EINVAL;
            inside.Add(entry);
        }
        if (inside.Count == 0) return Errno.None;
        _entries.RemoveAll(inside.Contains);
        Publish();
        foreach (var entry in inside) entry.Region?.Dispose();
        return Errno.None;
    }

    /// <summary>Removes all ranges.</summary>
    public void Dispose() => Clear();

    private Errno Clear()
    {
        var entries = _entries.ToArray();
        _entries.Clear();
        Publish();
        foreach (var entry in entries) entry.Region?.Dispose();
        return Errno.None;
    }

    private void Publish()
    {
        _device.SetUnsharedRanges(_entries.Count(static entry => entry.Region is null));
        var previous = _memory;
        var regions = _entries.Where(e => e.Region is not null).Select(e => e.Region!).ToArray();
        _memory = regions.Length == 0 ? null : new GuestMemory(regions);
        _device.SetMemory(_memory);
        previous?.Dispose();
    }

    private sealed record Entry(ulong Address, ulong Size, MemoryRegion? Region)
    {
        internal ulong Last => Address + (Size - 1);
    }
}
