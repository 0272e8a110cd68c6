using System.Diagnostics;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;

namespace VmShunt.Guest.Firmware.Ahci;

/// <summary>
/// An AHCI disk driven one command at a time and polled: by the loader before an operating system runs, and by the crash
/// path after it stopped. Owns its memory, allocates nothing per command, takes no lock, and shares nothing with another
/// driver. One thread.
/// </summary>
public sealed class PolledAhciDisk : ISectorReader
{
    private const int SectorBytes = 512;
    private const int BufferOffset = 8192;
    private const int TimeoutSeconds = 30;

    // FLUSH CACHE may take longer than 30 s (ACS-2): a host writes back first what others wrote, too.
    private const int FlushFactor = 4;

    private readonly GuestMemory _memory;
    private readonly AhciCommandEngine _port;
    private readonly ulong _buffer;
    private readonly int _bufferBytes;
    private readonly long _timeout;

    /// <summary>Prepares the driver; the hardware is not touched before <see cref="Start"/>.</summary>
    /// <param name="mmio">Reaches the controller's registers.</param>
    /// <param name="hba">The controller.</param>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="address">The driver's own memory, 1 KiB aligned.</param>
    /// <param name="bytes">Its length: 8 KiB for the command structures, the rest, at least one sector, as a staging buffer.</param>
    /// <param name="patience">The timeout of a command; 30 seconds by default. A flush has four times as long.</param>
    public PolledAhciDisk(IMmio mmio, AhciHba hba, GuestMemory memory, ulong address, int bytes, TimeSpan? patience = null)
        : this(Engine(mmio, hba, memory, address, bytes), memory, address + BufferOffset, bytes - BufferOffset, patience)
    {
    }

    /// <summary>Uses slot 0 of a port whose driver has no command in flight.</summary>
    /// <param name="port">The port.</param>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="buffer">The staging buffer.</param>
    /// <param name="bytes">Its length, at least one sector.</param>
    /// <param name="patience">The timeout of a command; 30 seconds by default. A flush has four times as long.</param>
    public PolledAhciDisk(AhciCommandEngine port, GuestMemory memory, ulong buffer, int bytes, TimeSpan? patience = null)
    {
        _port = port;
        _memory = memory;
        _timeout = (long)((patience?.TotalSeconds ?? TimeoutSeconds) * Stopwatch.Frequency);
        _buffer = buffer;
        _bufferBytes = bytes / SectorBytes * SectorBytes;
    }

    /// <inheritdoc/>
    public ulong SectorCount { get; private set; }

    /// <summary>The disk's serial number.</summary>
    public string Serial { get; private set; } = "";

    /// <summary>Guest-physical address of the staging buffer, for callers that move data themselves.</summary>
    public ulong Buffer => _buffer;

    /// <summary>The staging buffer's length in bytes.</summary>
    public int BufferBytes => _bufferBytes;

    /// <summary>Resets the controller, whatever state it was left in, and identifies the disk.</summary>
    /// <exception cref="IOException">There is no working disk.</exception>
    public void Start()
    {
        Restart();
        _port.PrepareIdentify(0, _buffer);
        Execute(AtaCommand.IdentifyDevice, 0, SectorBytes);
        var identify = new IdentifyData(_memory.GetSpan(_buffer, SectorBytes));
        if (!identify.IsIntact || !identify.HasLba48) throw new IOException("the disk's IDENTIFY data is damaged or lacks LBA48");
        if (identify.LogicalSectorBytes != SectorBytes)
            throw new IOException($"the disk has logical sectors of {identify.LogicalSectorBytes} bytes (4Kn), and this driver has only those of 512: start VM-H with --logical-block-size 512, or use the ring path alone (vmshunt-guest --bus SOCKET)");
        SectorCount = identify.Sectors;
        Serial = identify.Serial;
    }

    /// <summary>As <see cref="Start"/>, for a disk that was identified before. Allocates nothing.</summary>
    /// <exception cref="IOException">There is no working disk.</exception>
    public void Restart() => _port.Reset();

    /// <summary>Stops the port, so that another driver can use the controller.</summary>
    public void Stop() => _port.Stop();

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
    public void Read(ulong sector, ulong address, int bytes)
    {
        _port.PrepareRead(0, sector, address, bytes);
        Execute(AtaCommand.ReadDmaExt, sector, bytes);
    }

    /// <summary>Writes sectors straight from guest memory.</summary>
    /// <exception cref="IOException">The disk reported an error.</exception>
    public void Write(ulong sector, ulong address, int bytes)
    {
        _port.PrepareWrite(0, sector, address, bytes);
        Execute(AtaCommand.WriteDmaExt, sector, bytes);
    }

    /// <summary>Returns when every completed write is durable.</summary>
    /// <exception cref="IOException">The disk reported an error.</exception>
    public void Flush()
    {
        _port.PrepareFlush(0);
        Execute(AtaCommand.FlushCacheExt, 0, 0);
    }

    private static AhciCommandEngine Engine(IMmio mmio, AhciHba hba, GuestMemory memory, ulong address, int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bytes, BufferOffset + SectorBytes);
        return new AhciCommandEngine(mmio, hba, memory, address, slots: 1);
    }

    private void Execute(AtaCommand command, ulong sector, int bytes)
    {
        _port.Issue(1);
        var timeout = command == AtaCommand.FlushCacheExt ? FlushFactor * _timeout : _timeout;
        var deadline = Stopwatch.GetTimestamp() + timeout;
        while ((_port.Running & 1) != 0)
        {
            if ((_port.Status & AhciCommandEngine.FatalErrors) != 0) Fail(command, sector, bytes);
            if (Stopwatch.GetTimestamp() > deadline)
                throw new IOException($"{command} of {bytes:n0} bytes at sector {sector:n0} did not complete in {timeout / (double)Stopwatch.Frequency:0.###} s: the disk hangs");
        }
        _port.ClearStatus();
        if (bytes > 0 && !_port.HasMoved(0, bytes)) Fail(command, sector, bytes);
    }

    private void Fail(AtaCommand command, ulong sector, int bytes)
    {
        var taskFile = _port.TaskFile;
        _port.Recover();
        throw new IOException($"{command} of {bytes:n0} bytes at sector {sector:n0} failed: status {taskFile & 0xFF:x2}, error {taskFile >> 8 & 0xFF:x2}");
    }
}
