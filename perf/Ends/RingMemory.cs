using System.Globalization;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Perf.Ends;

/// <summary>
/// The shared memory of a virtqueue, each area on its own pages as in the guest, and a data area. The file is anonymous;
/// another process of the same user opens it by its path.
/// </summary>
internal sealed class RingMemory : IDisposable
{
    internal const int QueueSize = 128;

    private const int TableEntries = 4, PageBytes = 4096;
    private const ulong LineAddress = 0, DescriptorsAddress = PageBytes, DriverAddress = 2 * PageBytes, DeviceAddress = 3 * PageBytes;
    private const ulong TablesAddress = 4 * PageBytes, SlotsAddress = 6 * PageBytes, DataAddress = 16 * PageBytes;

    private readonly SafeFileHandle _file;
    private readonly MemoryRegion _region;

    private RingMemory(SafeFileHandle file)
    {
        _file = file;
        _region = MemoryRegion.Map(file, 0, (ulong)RandomAccess.GetLength(file), 0);
        Memory = new GuestMemory(_region);
    }

    internal GuestMemory Memory { get; }

    /// <summary>The guest-physical address of the data area.</summary>
    internal static ulong Data => DataAddress;

    /// <summary>The path by which another process of the same user opens the memory while this object exists.</summary>
    internal string Path => string.Create(CultureInfo.InvariantCulture, $"/proc/{Environment.ProcessId}/fd/{_file.DangerousGetHandle()}");

    /// <summary>The address of a request's header and status, each on its own cache line.</summary>
    internal static ulong Slot(int index) => SlotsAddress + (ulong)index * 128;

    /// <summary>The cache line of the ping-pong.</summary>
    internal MemoryWindow SharedLine => Window(LineAddress, 64);

    internal static RingMemory Create(int dataBytes) => new(SharedMemoryFile.Create("vmshunt-bench", (long)DataAddress + dataBytes));

    internal static RingMemory Open(string path) => new(File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite));

    /// <summary>The driver's end. Clears the ring.</summary>
    internal SplitDriverQueue SplitDriver(bool indirect, bool eventIndex) => new(SplitAreas, QueueSize, eventIndex, Tables(indirect), TablesAddress);

    /// <summary>The device's end of a new ring.</summary>
    internal SplitDeviceQueue SplitDevice(bool indirect, bool eventIndex) => new(Memory, SplitAreas, QueueSize, 0, indirect, eventIndex);

    /// <summary>The driver's end. Clears the ring.</summary>
    internal PackedDriverQueue PackedDriver(bool indirect, bool eventIndex) => new(PackedAreas, QueueSize, eventIndex, Tables(indirect), TablesAddress);

    /// <summary>The device's end of a new ring.</summary>
    internal PackedDeviceQueue PackedDevice(bool indirect, bool eventIndex) =>
        new(Memory, PackedAreas, QueueSize, PackedLayout.StartPosition, indirect, eventIndex);

    public void Dispose()
    {
        Memory.Dispose();
        _region.Dispose();
        _file.Dispose();
    }

    private SplitAreas SplitAreas => new(
        Window(DescriptorsAddress, SplitLayout.DescriptorBytes(QueueSize)),
        Window(DriverAddress, SplitLayout.AvailableBytes(QueueSize)),
        Window(DeviceAddress, SplitLayout.UsedBytes(QueueSize)));

    private PackedAreas PackedAreas => new(
        Window(DescriptorsAddress, PackedLayout.DescriptorBytes(QueueSize)),
        Window(DriverAddress, PackedLayout.EventBytes),
        Window(DeviceAddress, PackedLayout.EventBytes));

    private MemoryWindow Tables(bool indirect) => indirect ? Window(TablesAddress, QueueSize * TableEntries * SplitDescriptor.Bytes) : default;

    private MemoryWindow Window(ulong address, int bytes) =>
        Memory.TryGetWindow(address, bytes, out var window) ? window : throw new InvalidOperationException($"no {bytes} bytes at {address:x}");
}
