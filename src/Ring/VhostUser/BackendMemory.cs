using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Memory;

namespace VmShunt.Ring.VhostUser;

/// <summary>The memory regions of a front-end (vhost-user, "Memory access"). Every change makes a new <see cref="GuestMemory"/>.</summary>
/// <param name="session">The front-end's socket; not owned.</param>
internal sealed class BackendMemory(SafeHandle session) : IDisposable
{
    /// <summary>The reply to GET_MAX_MEM_SLOTS.</summary>
    internal const int MaxRegions = 128;

    private readonly List<MemoryRegion> _regions = [];

    /// <summary>The current memory; replaced, never changed.</summary>
    internal GuestMemory Current { get; private set; } = new();

    /// <summary>Maps a region and closes its descriptor.</summary>
    internal string? Add(in VhostUserMemoryRegion region, SafeFileHandle? descriptor)
    {
        if (descriptor is null) return "the memory region has no descriptor";
        using var file = descriptor;
        if (_regions.Count == MaxRegions) return $"{MaxRegions} memory regions are mapped already";
        MemoryRegion mapped;
        try
        {
            mapped = MemoryRegion.Map(file, region.FileOffset, region.Size, region.GuestAddress, region.UserAddress, session: session);
        }
        catch (InvalidDataException e)
        {
            return e.Message;
        }
        _regions.Add(mapped);
        var fault = Rebuild();
        if (fault is null) return null;
        _regions.Remove(mapped);
        mapped.Dispose();
        return fault;
    }

    /// <summary>Whether the front-end has truncated a file that it shares.</summary>
    internal bool WasTruncated => _regions.Exists(static region => region.WasTruncated);

    internal string? Remove(VhostUserMemoryRegion region)
    {
        var at = _regions.FindIndex(r =>
            r.GuestAddress == region.GuestAddress && r.Size == region.Size && r.UserAddress == region.UserAddress);
        if (at < 0) return $"no memory region at {region.GuestAddress:x} has {region.Size:n0} bytes";
        var removed = _regions[at];
        _regions.RemoveAt(at);
        Rebuild();
        removed.Dispose();
        return null;
    }

    internal void Clear()
    {
        var old = _regions.ToArray();
        _regions.Clear();
        Rebuild();
        foreach (var region in old) region.Dispose();
    }

    /// <summary>
    /// Moves every region to another address, and makes what still uses the old ones fail. A region that cannot be moved is
    /// dropped.
    /// </summary>
    internal void TakeAway()
    {
        var old = _regions.ToArray();
        _regions.Clear();
        _regions.AddRange(old.Select(static region => region.TryMove()).OfType<MemoryRegion>());
        Rebuild();
        foreach (var region in old)
        {
            region.TakeAway();
            region.Dispose();
        }
    }

    public void Dispose()
    {
        Clear();
        Current.Dispose();
    }

    private string? Rebuild()
    {
        try
        {
            var next = new GuestMemory(_regions);
            Current.Dispose();
            Current = next;
            return null;
        }
        catch (InvalidDataException e)
        {
            return e.Message;
        }
    }
}
