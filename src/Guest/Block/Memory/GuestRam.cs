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
    /// <summary>Creates RAM for a kernel without a hypervisor (<c>--bus</c>).</summary>
    internal static GuestRam Create(long bytes)
    {
        var file = SharedMemoryFile.Create("vmshunt-guest", bytes);
        var region = MemoryRegion.Map(file, 0, (ulong)bytes, 0);
        return new GuestRam(new GuestMemory(region), file, [new MemoryPart(0, (ulong)bytes, 0)], (ulong)bytes);
    }
}
