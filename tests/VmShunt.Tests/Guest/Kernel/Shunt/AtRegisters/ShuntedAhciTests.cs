using VmShunt.BlockBackend.Disk;
using VmShunt.Tests.Doubles;
using VmShunt.Tests.HostPartition.Ahci.Controller;

namespace VmShunt.Tests.Guest.Kernel.Shunt.AtRegisters;

/// <summary>The tests of the controller's commands, with the shunt at the registers in between.</summary>
public sealed class ShuntedAhciCommandTests : AhciCommandTests
{
    private protected override AhciMachine Machine(PortDriver port, int blockBytes = 512) => new ShuntedAhciMachine(port, blockBytes);
}

/// <summary>The tests of the controller's errors and recovery, with the shunt at the registers in between.</summary>
public sealed class ShuntedAhciErrorTests : AhciErrorTests
{
    private protected override AhciMachine Machine(PortDriver port, int blockBytes = 512) => new ShuntedAhciMachine(port, blockBytes);
}
