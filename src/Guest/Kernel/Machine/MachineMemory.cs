using VmShunt.BlockDriver.Memory;
using VmShunt.Guest.Firmware.Machine;

namespace VmShunt.Guest.Machine;

/// <summary>The RAM of a machine, as block drivers use it.</summary>
internal static class MachineMemory
{
    // The loader uses the memory below.
    private const ulong AboveLoader = 0x20_0000;

    /// <summary>Describes the machine's RAM; the machine stays its owner.</summary>
    internal static GuestRam Ram(this IMachine machine) => new(machine.Memory, machine.MemoryFile, machine.Parts);

    /// <summary>The kernel's allocator of that RAM.</summary>
    /// <exception cref="InvalidOperationException">There is no memory above the loader's.</exception>
    internal static GuestPages Pages(this GuestRam ram)
    {
        var low = ram.Parts[0].Size;
        if (low <= AboveLoader) throw new InvalidOperationException($"{low:n0} bytes of memory are too few for a kernel; start the guest with --memory 8M or more");
        return new GuestPages(ram, AboveLoader) { Advice = "start the guest with a larger --memory" };
    }
}
