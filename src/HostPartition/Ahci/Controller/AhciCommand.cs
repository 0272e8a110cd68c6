using VmShunt.Trap.Ahci;

namespace VmShunt.AhciBackend.Controller;

/// <summary>A command that the worker executes.</summary>
/// <param name="Slot">Its slot.</param>
/// <param name="HeaderAddress">The address of its header.</param>
/// <param name="Outstanding">The tags of queued commands that the device has executed and not reported.</param>
/// <param name="FollowsReset">Whether it is the first after a reset of the link.</param>
internal readonly record struct AhciCommand(int Slot, ulong HeaderAddress, uint Outstanding, bool FollowsReset);

/// <summary>The outcome of a command.</summary>
/// <param name="Fault">An error of the HBA, or None. With an error the other members have no meaning.</param>
/// <param name="Result">The device's result.</param>
/// <param name="Transferred">The bytes transferred (PRDBC).</param>
/// <param name="DescriptorProcessed">Whether PxIS.DPS is to be set.</param>
internal readonly record struct AhciOutcome(PortInterrupt Fault, AtaResult Result, uint Transferred, bool DescriptorProcessed);
