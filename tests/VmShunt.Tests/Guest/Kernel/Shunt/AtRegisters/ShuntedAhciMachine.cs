using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Shunt.AtRegisters;
using VmShunt.HostPartition.Disk;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Kernel.Shunt.AtRegisters;

/// <summary>A machine whose driver reaches the HBA through the shunt at the registers.</summary>
internal sealed class ShuntedAhciMachine : AhciMachine
{
    private const ulong Abar = 0xF000_0000;

    internal ShuntedAhciMachine(PortDriver port, int blockBytes = 512, bool diverting = true) : base(port, blockBytes)
    {
        Registers = new ControllerMmio(Controller, Abar);
        Road = new RecordingPath(Disk, Memory);
        Shunt = new RegisterShunt(Registers, Abar, Memory, new CrashGate(), static _ => { });
        if (diverting) Divert();
    }

    /// <summary>The HBA's own registers; counts what would trap.</summary>
    internal ControllerMmio Registers { get; }

    internal RecordingPath Road { get; }

    internal RegisterShunt Shunt { get; }

    internal void Divert(RequestTypes primary = RequestTypes.All) => Shunt.Divert(Road, primary);

    internal override uint Hba(int register) => (uint)Shunt.Read(Abar + (ulong)register, 4);

    internal override void Hba(int register, uint value) => Shunt.Write(Abar + (ulong)register, 4, value);

    internal void Write(int register, int size, ulong value) => Shunt.Write(Abar + (ulong)register, size, value);

    internal ulong Read(int register, int size) => Shunt.Read(Abar + (ulong)register, size);

    public override void Dispose()
    {
        Road.Dispose();
        Shunt.Dispose();
        base.Dispose();
    }
}
