using System.Diagnostics;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Trap.Ahci;

namespace VmShunt.Guest.Firmware.Ahci;

/// <summary>The registers of a controller's first port and its generic ones, by their names in AHCI 1.3.1 §3.</summary>
public sealed class AhciPortRegisters(IMmio mmio, ulong abar)
{
    // A stop or reset completes only when the disk has completed the DMA of the running command.
    private const int TimeoutSeconds = 30;

    /// <summary>Reads a generic host control register.</summary>
    public uint ReadHba(int register) => (uint)mmio.Read(abar + (ulong)register, 4);

    /// <summary>Writes a generic host control register.</summary>
    public void WriteHba(int register, uint value) => mmio.Write(abar + (ulong)register, 4, value);

    /// <summary>Reads a register of port 0.</summary>
    public uint ReadPort(int register) => (uint)mmio.Read(abar + (ulong)HbaRegister.OfPort(0, register), 4);

    /// <summary>Writes a register of port 0.</summary>
    public void WritePort(int register, uint value) => mmio.Write(abar + (ulong)HbaRegister.OfPort(0, register), 4, value);

    /// <summary>Resets the controller and enables AHCI mode (§10.4.3).</summary>
    /// <exception cref="IOException">The controller does not come out of reset.</exception>
    public void ResetHba()
    {
        WriteHba(HbaRegister.GHC, (uint)(GlobalHostControl.AE | GlobalHostControl.HR));
        WaitWhile(HbaRegister.GHC, (uint)GlobalHostControl.HR, "the AHCI controller does not come out of reset");
        WriteHba(HbaRegister.GHC, (uint)GlobalHostControl.AE);
    }

    /// <summary>Stops command processing, so that the list and FIS addresses may change (§10.3.2).</summary>
    /// <exception cref="IOException">The port does not stop.</exception>
    public void StopPort()
    {
        var command = (PortCommand)ReadPort(PortRegister.PxCMD);
        WritePort(PortRegister.PxCMD, (uint)(command & ~PortCommand.ST));
        WaitWhile(HbaRegister.OfPort(0, PortRegister.PxCMD), (uint)PortCommand.CR, "the AHCI port does not stop");
        WritePort(PortRegister.PxCMD, (uint)(command & ~(PortCommand.ST | PortCommand.FRE)));
        WaitWhile(HbaRegister.OfPort(0, PortRegister.PxCMD), (uint)PortCommand.FR, "the AHCI port does not stop receiving FISes");
    }

    /// <summary>Points the port at its memory and starts it (§10.3.1).</summary>
    /// <exception cref="IOException">There is no disk on the port.</exception>
    public void StartPort(ulong commandList, ulong receivedFis)
    {
        WritePort(PortRegister.PxCLB, (uint)commandList);
        WritePort(PortRegister.PxCLBU, (uint)(commandList >> 32));
        WritePort(PortRegister.PxFB, (uint)receivedFis);
        WritePort(PortRegister.PxFBU, (uint)(receivedFis >> 32));
        if ((ReadPort(PortRegister.PxSSTS) & SataLink.DETMask) != SataLink.DETEstablished)
            throw new IOException("there is no disk on the AHCI controller's first port");
        WritePort(PortRegister.PxSERR, uint.MaxValue);
        WritePort(PortRegister.PxIS, uint.MaxValue);
        var command = (PortCommand)ReadPort(PortRegister.PxCMD) | PortCommand.SUD | PortCommand.POD | PortCommand.FRE;
        WritePort(PortRegister.PxCMD, (uint)command);
        WritePort(PortRegister.PxCMD, (uint)(command | PortCommand.ST));
    }

    private void WaitWhile(int register, uint bits, string failure)
    {
        var deadline = Stopwatch.GetTimestamp() + TimeoutSeconds * Stopwatch.Frequency;
        while ((ReadHba(register) & bits) != 0)
        {
            if (Stopwatch.GetTimestamp() > deadline) throw new IOException(failure);
        }
    }
}
