using VmShunt.Trap.Ahci;

namespace VmShunt.HostPartition.Ahci;

/// <summary>A command that the port has handed to the worker: its slot, and where its header is.</summary>
internal readonly record struct AhciCommand(int Slot, ulong HeaderAddress);

/// <summary>What became of a command.</summary>
/// <param name="Fault">The HBA's own error, or None; then the rest means nothing.</param>
/// <param name="Result">The device's answer.</param>
/// <param name="Transferred">The bytes moved, for PRDBC.</param>
/// <param name="DescriptorProcessed">Whether PxIS.DPS is due.</param>
internal readonly record struct AhciOutcome(PortInterrupt Fault, AtaResult Result, uint Transferred, bool DescriptorProcessed);
