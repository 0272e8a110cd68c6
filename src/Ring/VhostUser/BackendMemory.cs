using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Memory;

namespace VmShunt.Ring.VhostUser;

/// <summary>The memory regions that a front-end has shared. Every change makes a new <see cref="GuestMemory"/>.</summary>
internal sealed class BackendMemory : IDisposable
{
    /// <summary>What GET_MAX_MEM_SLOTS answers.</summary>
    internal const int MaxRegions = 128;

    private readonly List<MemoryRegion> _regions = [];

    /// <summary>The memory as it is now; replaced, never changed.</summary>
    internal GuestMemory Current { get; private set; } = new();

    /// <summary>Maps a region. The descriptor is closed: the mapping needs it no longer.</summary>
    internal string? Add(in VhostUserMemoryRegion region, SafeFileHandle? descriptor)
    {
        if (descriptor is null) return "a memory region came without a descriptor";
        using var file = descriptor;
        if (_regions.Count == MaxRegions) return $"there are {MaxRegions} memory regions already";
        MemoryRegion mapped;
        try
        {
            mapped = MemoryRegion.Map(file, region.FileOffset, region.Size, region.GuestAddress, region.UserAddress);
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

    internal string? Remove(VhostUserMemoryRegion region)
    {
        var at = _regions.FindIndex(r =>
            r.GuestAddress == region.GuestAddress && r.Size == region.Size && r.UserAddress == region.UserAddress);
        if (at < 0) return $"there is no memory region at {region.GuestAddress:x} of {region.Size:n0} bytes";
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
