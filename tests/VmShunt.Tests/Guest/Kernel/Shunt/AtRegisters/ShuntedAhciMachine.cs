using VmShunt.BlockBackend.Disk;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Guest.Shunt.AtRegisters;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Kernel.Shunt.AtRegisters;

/// <summary>A machine whose driver reaches the HBA through the shunt at the registers.</summary>
internal sealed class ShuntedAhciMachine : AhciMachine
{
    private const ulong Abar = 0xF000_0000;

    private IMmio _driverRegisters;

    internal ShuntedAhciMachine(PortDriver port, int blockBytes = 512, bool diverting = true, bool inserted = true) : base(port, blockBytes)
    {
        Registers = new ControllerMmio(Controller, Abar);
        Path = new RecordingPath(Disk, Memory);
        Shunt = new RegisterShunt(Registers, Abar, Memory, static () => { }, new CrashGate(), static _ => { });
        _driverRegisters = inserted ? Shunt : Registers;
        if (diverting) Divert();
    }

    /// <summary>The HBA's own registers; counts the accesses that would trap.</summary>
    internal ControllerMmio Registers { get; }

    internal RecordingPath Path { get; }

    internal RegisterShunt Shunt { get; }

    /// <summary>Puts the shunt between the driver and a port that is running.</summary>
    internal void Insert()
    {
        Shunt.Adopt();
        _driverRegisters = Shunt;
    }

    internal void Divert(RequestTypes primary = RequestTypes.All) => Shunt.Divert(Path, primary);

    internal override uint Hba(int register) => (uint)_driverRegisters.Read(Abar + (ulong)register, 4);

    internal override void Hba(int register, uint value) => _driverRegisters.Write(Abar + (ulong)register, 4, value);

    public override void Dispose()
    {
        Path.Dispose();
        Shunt.Dispose();
        base.Dispose();
    }
}
