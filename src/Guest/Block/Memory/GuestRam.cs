using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockDriver.Memory;

/// <summary>The RAM that the kernel runs on, and the file behind it, which the bus shares with VM-H.</summary>
/// <param name="Memory">Checked access by guest-physical address.</param>
/// <param name="File">The shared file.</param>
/// <param name="Parts">Its parts, with their guest-physical addresses and file offsets.</param>
/// <param name="RamBytes">The size without the crash reserve.</param>
internal sealed record GuestRam(GuestMemory Memory, SafeFileHandle File, IReadOnlyList<MemoryPart> Parts, ulong RamBytes)
{
    /// <summary>Creates RAM without a hypervisor (<c>--bus</c>): one part at address 0.</summary>
    /// <param name="bytes">The size; the system allocates a page at the first access.</param>
    /// <param name="name">The name in <c>/proc/PID/maps</c>.</param>
    internal static GuestRam Create(long bytes, string name = "vmshunt-guest")
    {
        var file = SharedMemoryFile.Create(name, bytes);
        var region = MemoryRegion.Map(file, 0, (ulong)bytes, 0);
        return new GuestRam(new GuestMemory(region), file, [new MemoryPart(0, (ulong)bytes, 0)], (ulong)bytes);
    }

    /// <summary>Unmaps the memory and closes the file. No thread may use a span or a window of it any more.</summary>
    internal void Unmap()
    {
        Memory.Dispose();
        foreach (var region in Memory.Regions) region.Dispose();
        File.Dispose();
    }
}
