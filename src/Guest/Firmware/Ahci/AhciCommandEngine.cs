using VmShunt.Guest.Firmware.Machine;
using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;

namespace VmShunt.Guest.Firmware.Ahci;

/// <summary>
/// Drives port 0 of an AHCI controller: starts and stops it, builds commands in its slots, issues them, acknowledges its
/// interrupt and recovers it from errors. The caller chooses the slots and how to wait for completions. Allocates nothing
/// per command. One thread at a time.
/// </summary>
public sealed class AhciCommandEngine
{
    /// <summary>Errors at which the port stops until <see cref="Recover"/> (AHCI 1.3.1 §6.1, §6.2.2).</summary>
    public const PortInterrupt FatalErrors = PortInterrupt.TFES | PortInterrupt.HBFS | PortInterrupt.HBDS | PortInterrupt.IFS;

    /// <summary>All errors that an interrupt reports.</summary>
    public const PortInterrupt Errors = FatalErrors | PortInterrupt.OFS | PortInterrupt.INFS;

    private const PortInterrupt Completions = PortInterrupt.DHRS | PortInterrupt.PSS | PortInterrupt.SDBS;

    private const int SectorBytes = 512;
    private const int TrimBytes = SectorBytes;
    private const int TrimRangeSectors = 65535;
    private const byte TrimFeature = 1;

    private readonly AhciPortRegisters _registers;
    private readonly AhciCommandMemory _commands;
    private readonly MemoryWindow _trim;
    private readonly ulong _trimAddress;

    /// <summary>Prepares the command memory; touches no register.</summary>
    /// <param name="mmio">Reaches the controller's registers.</param>
    /// <param name="hba">The controller.</param>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="address">Memory for the command list, tables and TRIM ranges, 1 KiB aligned.</param>
    /// <param name="slots">Slots in use, 1 to 32.</param>
    public AhciCommandEngine(IMmio mmio, AhciHba hba, GuestMemory memory, ulong address, int slots)
    {
        ArgumentNullException.ThrowIfNull(hba);
        ArgumentNullException.ThrowIfNull(memory);
        _registers = new AhciPortRegisters(mmio, hba.Abar);
        _commands = new AhciCommandMemory(memory, address, slots);
        _trimAddress = address + (ulong)AhciCommandMemory.RequiredBytes(slots);
        if (!memory.TryGetWindow(_trimAddress, slots * TrimBytes, out _trim))
            throw new ArgumentOutOfRangeException(nameof(address), $"no {RequiredBytes(slots)} bytes of guest memory at {address:x}");
    }

    /// <summary>Slots whose command is not completed (PxCI).</summary>
    public uint Running => _registers.ReadPort(PortRegister.PxCI);

    /// <summary>The port's interrupt status (PxIS).</summary>
    public PortInterrupt Status => (PortInterrupt)_registers.ReadPort(PortRegister.PxIS);

    /// <summary>Status and error of the last command (PxTFD).</summary>
    public uint TaskFile => _registers.ReadPort(PortRegister.PxTFD);

    /// <summary>Bytes of guest memory needed for so many slots.</summary>
    public static int RequiredBytes(int slots) => AhciCommandMemory.RequiredBytes(slots) + slots * TrimBytes;

    /// <summary>Resets the controller, whatever state a previous driver left it in, and starts the port without interrupts.</summary>
    /// <exception cref="IOException">There is no working disk.</exception>
    public void Reset()
    {
        _registers.ResetHba();
        _registers.StopPort();
        Start();
    }

    /// <summary>Stops the port; commands in flight are aborted.</summary>
    /// <exception cref="IOException">The port does not stop.</exception>
    public void Stop() => _registers.StopPort();

    /// <summary>Enables the interrupt for completions and errors. IS is 0 since the controller's reset: nothing raised it without PxIE.</summary>
    public void EnableInterrupt()
    {
        _registers.WritePort(PortRegister.PxIE, (uint)(Completions | Errors));
        _registers.WriteHba(HbaRegister.GHC, (uint)(GlobalHostControl.AE | GlobalHostControl.IE));
    }

    /// <summary>Disables the port's interrupt.</summary>
    public void DisableInterrupt() => _registers.WritePort(PortRegister.PxIE, 0);

    /// <summary>Builds IDENTIFY DEVICE: 512 bytes at <paramref name="address"/>.</summary>
    public void PrepareIdentify(int slot, ulong address) =>
        _commands.Fill(slot, AtaCommand.IdentifyDevice, 0, 0, address, SectorBytes, deviceReads: false);

    /// <summary>Builds a read of sectors into guest memory.</summary>
    public void PrepareRead(int slot, ulong sector, ulong address, int bytes) =>
        _commands.Fill(slot, AtaCommand.ReadDmaExt, sector, bytes / SectorBytes, address, bytes, deviceReads: false);

    /// <summary>Builds a write of sectors from guest memory.</summary>
    /// <param name="slot">The slot.</param>
    /// <param name="sector">The first sector.</param>
    /// <param name="address">Guest-physical address of the data.</param>
    /// <param name="bytes">The length on the disk.</param>
    /// <param name="repeat">If not 0, the length of the data in memory, which is written repeatedly.</param>
    public void PrepareWrite(int slot, ulong sector, ulong address, int bytes, int repeat = 0) =>
        _commands.Fill(slot, AtaCommand.WriteDmaExt, sector, bytes / SectorBytes, address, bytes, deviceReads: true, repeat: repeat);

    /// <summary>Builds FLUSH CACHE EXT.</summary>
    public void PrepareFlush(int slot) => _commands.Fill(slot, AtaCommand.FlushCacheExt, 0, 0, 0, 0, deviceReads: false);

    /// <summary>Builds a TRIM of sectors: one block of LBA range entries, 48 bits of sector and 16 of count each (ACS-2 §7.10).</summary>
    public void PrepareTrim(int slot, ulong sector, int sectors)
    {
        var block = slot * TrimBytes;
        _trim.Span.Slice(block, TrimBytes).Clear();
        for (var at = block; sectors > 0; at += sizeof(ulong))
        {
            var here = Math.Min(sectors, TrimRangeSectors);
            _trim.Write(at, sector | (ulong)here << 48);
            sector += (ulong)here;
            sectors -= here;
        }
        _commands.Fill(slot, AtaCommand.DataSetManagement, 0, 1, _trimAddress + (ulong)block, TrimBytes, deviceReads: true, features: TrimFeature);
    }

    /// <summary>Issues prepared commands with one register write.</summary>
    public void Issue(uint slots) => _registers.WritePort(PortRegister.PxCI, slots);

    /// <summary>Whether the device moved as many bytes as the command names (PRDBC).</summary>
    public bool HasMoved(int slot, int bytes) => _commands.BytesMoved(slot) == bytes;

    /// <summary>Clears the port's interrupt status.</summary>
    public void ClearStatus() => _registers.WritePort(PortRegister.PxIS, uint.MaxValue);

    /// <summary>
    /// Clears what completions set in PxIS, then IS. Errors stay in PxIS and raise the interrupt again, so a handler that finds
    /// completed commands need not read PxIS. Look for completions afterwards: none is missed then.
    /// </summary>
    public void Acknowledge()
    {
        _registers.WritePort(PortRegister.PxIS, (uint)Completions);
        _registers.WriteHba(HbaRegister.IS, 1);
    }

    /// <summary>Prepares <see cref="HasReport"/>, while no command is in flight.</summary>
    public void ExpectReport() => _commands.ClearReport();

    /// <summary>
    /// Whether the only command issued since <see cref="ExpectReport"/> has completed without an error, from its FIS in memory:
    /// no register is read. The device may not have cleared the command's bit in PxCI yet.
    /// </summary>
    public bool HasReport => _commands.HasReport();

    /// <summary>Restarts the port after an error (AHCI 1.3.1 §6.2.2.1). Commands that are not completed must be issued again.</summary>
    /// <returns>The slot at which the port stopped (PxCMD.CCS).</returns>
    /// <exception cref="IOException">The port does not stop, or the disk has disappeared.</exception>
    public int Recover()
    {
        var stoppedAt = (int)(_registers.ReadPort(PortRegister.PxCMD) >> PortCommandFields.CCSShift & 0x1F);
        _registers.StopPort();
        Start();
        return stoppedAt;
    }

    private void Start() => _registers.StartPort(_commands.CommandList, _commands.ReceivedFis);
}
