using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Ring.VhostUser;

/// <summary>
/// The memory in which a session's rings remember what is in flight. The front-end keeps it while the back-end's process
/// is gone. Used by the session's thread.
/// </summary>
internal sealed class BackendInflight : IDisposable
{
    private const int Alignment = 64;

    private MemoryRegion? _region;
    private GuestMemory? _memory;
    private int _stride;

    /// <summary>Makes the memory for a front-end that has none yet.</summary>
    /// <param name="queues">Rings, as the front-end asks.</param>
    /// <param name="largest">The largest ring that any of them may become: front-ends ask for less than they use.</param>
    /// <param name="bytes">Its size.</param>
    internal static SafeFileHandle Create(int queues, int largest, out long bytes)
    {
        bytes = (long)queues * Stride(largest);
        return SharedMemoryFile.Create("vmshunt-inflight", bytes);
    }

    /// <summary>Takes the memory into use, new or from before.</summary>
    /// <returns>Null, or why it cannot be used.</returns>
    internal string? Attach(in VhostUserInflight inflight, SafeFileHandle? file, int queues)
    {
        if (file is null) return "memory for requests in flight came without a descriptor";
        if (inflight.QueueCount == 0 || inflight.QueueCount > queues) return $"requests in flight of {inflight.QueueCount} rings; the device has {queues}";
        var stride = inflight.MmapSize / inflight.QueueCount / Alignment * Alignment;
        if (stride == 0 || stride > int.MaxValue) return $"{inflight.MmapSize:n0} bytes for the requests in flight of {inflight.QueueCount} rings";
        MemoryRegion region;
        try
        {
            region = MemoryRegion.Map(file, inflight.MmapOffset, inflight.MmapSize, guestAddress: 0);
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

    /// <summary>One ring's part; an empty window when there is no such memory.</summary>
    /// <returns>Null, or why the ring has no place in it.</returns>
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
