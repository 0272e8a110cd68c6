using System.Diagnostics;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;

namespace VmShunt.Guest.Firmware.Ahci;

/// <summary>
/// The simplest driver of an AHCI disk: one command at a time, polled. What the loader has before there is an operating
/// system, and the crash path when there is none any more: it owns its memory, allocates nothing per command, takes no
/// lock, and shares nothing with any other driver. One thread.
/// </summary>
public sealed class PolledAhciDisk : ISectorReader
{
    private const int SectorBytes = 512;
    private const int BufferOffset = 8192;
    private const int PatienceSeconds = 30;

    private readonly GuestMemory _memory;
    private readonly AhciPortRegisters _registers;
    private readonly AhciCommandMemory _commands;
    private readonly ulong _buffer;
    private readonly int _bufferBytes;
    private readonly long _patience;

    /// <summary>Prepares the driver; the hardware is not touched before <see cref="Start"/>.</summary>
    /// <param name="mmio">The way to the controller's registers.</param>
    /// <param name="hba">The controller.</param>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="address">The driver's own stretch of it, 1 KiB aligned.</param>
    /// <param name="bytes">Its length: 8 KiB for structures and the rest, at least one sector, to stage data in.</param>
    /// <param name="patience">How long the disk may take over a command; by default 30 seconds.</param>
    public PolledAhciDisk(IMmio mmio, AhciHba hba, GuestMemory memory, ulong address, int bytes, TimeSpan? patience = null)
    {
        ArgumentNullException.ThrowIfNull(hba);
        ArgumentOutOfRangeException.ThrowIfLessThan(bytes, BufferOffset + SectorBytes);
        _memory = memory;
        _patience = (long)((patience?.TotalSeconds ?? PatienceSeconds) * Stopwatch.Frequency);
        _registers = new AhciPortRegisters(mmio, hba.Abar);
        _commands = new AhciCommandMemory(memory, address, slots: 1);
        _buffer = address + BufferOffset;
        _bufferBytes = (bytes - BufferOffset) / SectorBytes * SectorBytes;
    }

    /// <inheritdoc/>
    public ulong SectorCount { get; private set; }

    /// <summary>The disk's serial number.</summary>
    public string Serial { get; private set; } = "";

    /// <summary>Guest-physical address of the staging buffer, for callers that move data themselves.</summary>
    public ulong Buffer => _buffer;

    /// <summary>The staging buffer's length in bytes.</summary>
    public int BufferBytes => _bufferBytes;

    /// <summary>Resets the controller, whatever state it was left in, and asks the disk who it is.</summary>
    /// <exception cref="IOException">There is no working disk.</exception>
    public void Start()
    {
        Restart();
        Execute(AtaCommand.IdentifyDevice, 0, 0, _buffer, SectorBytes, deviceReads: false);
        var identify = new IdentifyData(_memory.GetSpan(_buffer, SectorBytes));
        if (!identify.IsIntact || !identify.HasLba48) throw new IOException("the disk's IDENTIFY data is damaged or lacks LBA48");
        SectorCount = identify.Sectors;
        Serial = identify.Serial;
    }

    /// <summary>As <see cref="Start"/> without the question: for a disk that is known. Allocates nothing.</summary>
    /// <exception cref="IOException">There is no working disk.</exception>
    public void Restart()
    {
        _registers.ResetHba();
        _registers.StopPort();
        _registers.StartPort(_commands.CommandList, _commands.ReceivedFis);
    }

    /// <summary>Stops the port, so that another driver can take the controller.</summary>
    public void Stop() => _registers.StopPort();

    /// <inheritdoc/>
    public void ReadSectors(ulong sector, Span<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            var here = Math.Min(buffer.Length, _bufferBytes);
            Read(sector, _buffer, here);
            _memory.GetSpan(_buffer, here).CopyTo(buffer);
            buffer = buffer[here..];
            sector += (ulong)(here / SectorBytes);
        }
    }

    /// <summary>Reads sectors straight into guest memory.</summary>
    /// <exception cref="IOException">The disk reported an error.</exception>
    public void Read(ulong sector, ulong address, int bytes) =>
        Execute(AtaCommand.ReadDmaExt, sector, bytes / SectorBytes, address, bytes, deviceReads: false);

    /// <summary>Writes sectors straight from guest memory.</summary>
    /// <exception cref="IOException">The disk reported an error.</exception>
    public void Write(ulong sector, ulong address, int bytes) =>
        Execute(AtaCommand.WriteDmaExt, sector, bytes / SectorBytes, address, bytes, deviceReads: true);

    /// <summary>Returns when every write is durable.</summary>
    /// <exception cref="IOException">The disk reported an error.</exception>
    public void Flush() => Execute(AtaCommand.FlushCacheExt, 0, 0, 0, 0, deviceReads: false);

    private void Execute(AtaCommand command, ulong sector, int count, ulong buffer, int bytes, bool deviceReads)
    {
        _commands.Fill(0, command, sector, count, buffer, bytes, deviceReads);
        _registers.WritePort(PortRegister.PxCI, 1);
        var deadline = Stopwatch.GetTimestamp() + _patience;
        while ((_registers.ReadPort(PortRegister.PxCI) & 1) != 0)
        {
            var interrupts = (PortInterrupt)_registers.ReadPort(PortRegister.PxIS);
            if ((interrupts & (PortInterrupt.TFES | PortInterrupt.HBFS | PortInterrupt.HBDS | PortInterrupt.IFS)) != 0) Fail(command, sector, bytes);
            if (Stopwatch.GetTimestamp() > deadline)
                throw new IOException($"{command} of {bytes:n0} bytes at sector {sector:n0} has not come to an end in {_patience / (double)Stopwatch.Frequency:0.###} s: the disk hangs");
        }
        _registers.WritePort(PortRegister.PxIS, uint.MaxValue);
        if (bytes > 0 && _commands.BytesMoved(0) != bytes) Fail(command, sector, bytes);
    }

    private void Fail(AtaCommand command, ulong sector, int bytes)
    {
        var taskFile = _registers.ReadPort(PortRegister.PxTFD);
        _registers.StopPort();
        _registers.StartPort(_commands.CommandList, _commands.ReceivedFis);
        throw new IOException($"{command} of {bytes:n0} bytes at sector {sector:n0} failed: status {taskFile & 0xFF:x2}, error {taskFile >> 8 & 0xFF:x2}");
    }
}
