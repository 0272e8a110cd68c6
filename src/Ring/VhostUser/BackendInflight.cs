using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Ring.VhostUser;

/// <summary>
/// The shared memory in which a session's rings record their chains in flight (vhost-user, "Inflight I/O tracking"). The
/// front-end keeps it while the back-end is restarted. Used by the session's thread.
/// </summary>
/// <param name="session">The front-end's socket; not owned.</param>
internal sealed class BackendInflight(SafeHandle session) : IDisposable
{
    private const int Alignment = 64;

    private MemoryRegion? _region;
    private GuestMemory? _memory;
    private int _stride;

    /// <summary>Allocates the memory for a front-end that has none yet.</summary>
    /// <param name="queues">How many rings the front-end asks for.</param>
    /// <param name="largest">The largest possible ring. Front-ends ask for smaller rings than they set up later.</param>
    /// <param name="bytes">The size of the memory.</param>
    internal static SafeFileHandle Create(int queues, int largest, out long bytes)
    {
        bytes = (long)queues * Stride(largest);
        return SharedMemoryFile.Create("vmshunt-inflight", bytes);
    }

    /// <summary>Maps the memory, whether it is new or from an earlier session.</summary>
    /// <returns>Null, or why it cannot be used.</returns>
    internal string? Attach(in VhostUserInflight inflight, SafeFileHandle? file, int queues)
    {
        if (file is null) return "the memory for requests in flight has no descriptor";
        if (inflight.QueueCount == 0 || inflight.QueueCount > queues) return $"requests in flight of {inflight.QueueCount} rings; the device has {queues}";
        var stride = inflight.MmapSize / inflight.QueueCount / Alignment * Alignment;
        if (stride == 0 || stride > int.MaxValue) return $"{inflight.MmapSize:n0} bytes for the requests in flight of {inflight.QueueCount} rings";
        MemoryRegion region;
        try
        {
            region = MemoryRegion.Map(file, inflight.MmapOffset, inflight.MmapSize, guestAddress: 0, session: session);
        }
        catch (InvalidDataException e)
        {
            return e.Message;
        }
        Dispose();
        _region = region;
        _memory = new GuestMemory(region);
        _stride = (int)stride;
        return null;
    }

    /// <summary>Whether the front-end has truncated the record.</summary>
    internal bool WasTruncated => _region?.WasTruncated == true;

    /// <summary>Finds the part of one ring; an empty window if no memory is attached.</summary>
    /// <returns>Null, or why the ring does not fit.</returns>
    internal string? Find(int index, int size, bool packed, out MemoryWindow window)
    {
        window = default;
        if (_memory is null) return null;
        var required = packed ? PackedDeviceQueue.InflightBytes(size) : SplitDeviceQueue.InflightBytes(size);
        return required <= _stride && _memory.TryGetWindow((ulong)index * (ulong)_stride, _stride, out window)
            ? null
            : $"ring {index}: the memory for requests in flight has no room for {size} entries";
    }

    public void Dispose()
    {
        _memory?.Dispose();
        _region?.Dispose();
        _memory = null;
        _region = null;
    }

    private static int Stride(int size)
    {
        var bytes = Math.Max(SplitDeviceQueue.InflightBytes(size), PackedDeviceQueue.InflightBytes(size));
        return (bytes + Alignment - 1) / Alignment * Alignment;
    }
}
