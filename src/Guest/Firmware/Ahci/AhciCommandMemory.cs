using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;

namespace VmShunt.Guest.Firmware.Ahci;

/// <summary>
/// The memory structures of one AHCI port: the command list, the received-FIS area and a command table per slot (AHCI 1.3.1
/// §4.2). Filling a slot allocates nothing.
/// </summary>
public sealed class AhciCommandMemory
{
    /// <summary>Slots of a command list.</summary>
    public const int Slots = 32;

    /// <summary>PRDT entries per command table: 8 × 4 MiB.</summary>
    public const int MaxPrdtEntries = 8;

    /// <summary>The longest transfer of one command: 65,536 sectors (LBA48), which fit the PRDT.</summary>
    public const int MaxTransferBytes = 65536 * SectorBytes;

    /// <summary>Bytes needed for a driver that uses <paramref name="slots"/> slots.</summary>
    public static int RequiredBytes(int slots) => TablesOffset + slots * TableStride;

    private const int SectorBytes = 512;
    private const int FisOffset = 1024;
    private const int ReportOffset = FisOffset + Trap.Ahci.ReceivedFis.RFIS;
    private const int TablesOffset = 2048;
    private const int TableStride = 256;

    private readonly MemoryWindow _window;
    private readonly ulong _address;

    /// <summary>Lays out the structures in guest memory and clears them.</summary>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="address">1 KiB aligned.</param>
    /// <param name="slots">Slots in use, 1 to 32.</param>
    public AhciCommandMemory(GuestMemory memory, ulong address, int slots)
    {
        ArgumentNullException.ThrowIfNull(memory);
        if (!memory.TryGetWindow(address, RequiredBytes(slots), out _window))
            throw new ArgumentOutOfRangeException(nameof(address), $"no {RequiredBytes(slots)} bytes of guest memory at {address:x}");
        _address = address;
        _window.Span.Clear();
    }

    /// <summary>Guest-physical address of the command list (PxCLB).</summary>
    public ulong CommandList => _address;

    /// <summary>Guest-physical address of the received-FIS area (PxFB).</summary>
    public ulong ReceivedFis => _address + FisOffset;

    /// <summary>Builds a command in a slot: its FIS, PRDT and header.</summary>
    /// <param name="slot">0 to 31.</param>
    /// <param name="command">The ATA command.</param>
    /// <param name="sector">The first sector of 512 bytes.</param>
    /// <param name="count">The sector count field; 65,536 is written as 0.</param>
    /// <param name="buffer">Guest-physical address of the data.</param>
    /// <param name="bytes">Its length; even; 0 for commands without data.</param>
    /// <param name="deviceReads">The device reads the buffer: a write to the disk.</param>
    /// <param name="features">The features field.</param>
    /// <param name="repeat">If not 0, the length of the buffer, which supplies the data repeatedly.</param>
    public void Fill(
        int slot, AtaCommand command, ulong sector, int count, ulong buffer, int bytes, bool deviceReads, byte features = 0, int repeat = 0)
    {
        var most = repeat > 0 ? repeat : PrdtEntry.MaxBytes;
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, (long)MaxPrdtEntries * most);
        var table = TablesOffset + slot * TableStride;
        var fis = new HostToDeviceFis
        {
            Type = FisType.RegisterH2D,
            Flags = FisFlags.C,
            Command = command,
            Features = features,
        };
        fis.Address.Lba = sector;
        fis.Address.Device = AtaDevice.LBA;
        fis.Address.Count = (ushort)count;
        _window.Write(table + CommandTable.CFIS, fis);

        var entries = 0;
        for (var done = 0; done < bytes; entries++)
        {
            var here = Math.Min(bytes - done, most);
            var entry = new PrdtEntry { Address = repeat > 0 ? buffer : buffer + (ulong)done, ByteCount = here };
            _window.Write(table + CommandTable.PRDT + entries * PrdtEntry.SizeInBytes, entry);
            done += here;
        }

        _window.Write(slot * CommandHeader.SizeInBytes, new CommandHeader
        {
            Flags = (CommandHeaderFlags)HostToDeviceFis.Dwords | (deviceReads ? CommandHeaderFlags.W : 0),
            PRDTL = (ushort)entries,
            CommandTable = _address + (ulong)table,
        });
    }

    /// <summary>Clears the device's last Register FIS, so that <see cref="HasReport"/> tells of a later one.</summary>
    public void ClearReport() => _window.Write(ReportOffset, 0u);

    /// <summary>
    /// Whether the device has posted a Register FIS that completes a command (its I bit is set) without an error since
    /// <see cref="ClearReport"/>. What the device wrote before it is visible then.
    /// </summary>
    public bool HasReport()
    {
        const ushort completion = (byte)FisType.RegisterD2H | (byte)FisFlags.I << 8;
        if (_window.ReadUInt16Acquire(ReportOffset) != completion) return false;
        var status = _window.Read<DeviceToHostFis>(ReportOffset).Status;
        return (status & (AtaStatus.DRDY | AtaStatus.BSY | AtaStatus.DF | AtaStatus.DRQ | AtaStatus.ERR)) == AtaStatus.DRDY;
    }

    /// <summary>Bytes that the device moved for the command in a slot (PRDBC).</summary>
    public uint BytesMoved(int slot) => _window.Read<uint>(slot * CommandHeader.SizeInBytes + CommandHeader.PrdbcOffset);
}
