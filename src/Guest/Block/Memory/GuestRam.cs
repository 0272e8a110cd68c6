using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockDriver.Memory;

/// <summary>The memory that requests and rings are in, and the file behind it, which a channel shares with its back-end.</summary>
/// <param name="memory">Checked access by guest-physical address.</param>
/// <param name="file">The file.</param>
/// <param name="parts">Its parts, with their guest-physical addresses and file offsets.</param>
public sealed class GuestRam(GuestMemory memory, SafeFileHandle file, IReadOnlyList<MemoryPart> parts)
{
    /// <summary>Checked access by guest-physical address.</summary>
    public GuestMemory Memory { get; } = memory;

    /// <summary>The shared file.</summary>
    public SafeFileHandle File { get; } = file;

    /// <summary>Its parts, with their guest-physical addresses and file offsets.</summary>
    public IReadOnlyList<MemoryPart> Parts { get; } = parts;

    /// <summary>Creates memory in one part at address 0.</summary>
    /// <param name="bytes">The size; the system allocates a page at the first access.</param>
    /// <param name="name">The name in <c>/proc/PID/maps</c>.</param>
    /// <exception cref="IOException">The system does not have that much.</exception>
    public static GuestRam Create(long bytes, string name = "vmshunt-guest")
    {
        var file = SharedMemoryFile.Create(name, bytes);
        var region = MemoryRegion.Map(file, 0, (ulong)bytes, 0);
        return new GuestRam(new GuestMemory(region), file, [new MemoryPart(0, (ulong)bytes, 0)]);
    }

    /// <summary>Unmaps the memory and closes the file. No thread may use a span or a window of it any more, and no channel may have it.</summary>
    public void Unmap()
    {
        Memory.Dispose();
        foreach (var region in Memory.Regions) region.Dispose();
        File.Dispose();
    }
}
