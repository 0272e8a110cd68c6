using VmShunt.HostPartition.Disk;
using VmShunt.Tests.Doubles;
using VmShunt.Tests.HostPartition.Ahci;

namespace VmShunt.Tests.Guest.Kernel.Shunt.AtRegisters;

/// <summary>Everything that is true of a command on the controller is true of it when the shunt at the registers takes it.</summary>
public sealed class ShuntedAhciCommandTests : AhciCommandTests
{
    private protected override AhciMachine Machine(PortDriver port, int blockBytes = 512) => new ShuntedAhciMachine(port, blockBytes);
}

/// <summary>And of errors and recovery.</summary>
public sealed class ShuntedAhciErrorTests : AhciErrorTests
{
    private protected override AhciMachine Machine(PortDriver port, int blockBytes = 512) => new ShuntedAhciMachine(port, blockBytes);
}
