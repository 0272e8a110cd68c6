using VmShunt.BlockDriver.Memory;
using VmShunt.Guest.Firmware.Machine;

namespace VmShunt.Guest.Machine;

/// <summary>The RAM of a machine, as block drivers use it.</summary>
internal static class MachineMemory
{
    /// <summary>Describes the machine's RAM; the machine stays its owner.</summary>
    internal static GuestRam Ram(this IMachine machine) => new(machine.Memory, machine.MemoryFile, machine.Parts, machine.RamBytes);
}
