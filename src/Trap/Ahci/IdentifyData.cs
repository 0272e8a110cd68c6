using System.Buffers.Binary;
using System.Text;

namespace VmShunt.Trap.Ahci;

/// <summary>
/// A view over the 512 bytes of IDENTIFY DEVICE (ACS-2 §7.12.7), which the device writes and the driver reads. The bytes stay
/// the caller's. Reading never throws, whatever the bytes are.
/// </summary>
public readonly ref struct IdentifyData
{
    /// <summary>The size in bytes.</summary>
    public const int SizeInBytes = 512;

    private const ushort Valid = 1 << 14, ValidMask = 3 << 14;

    private readonly Span<byte> _data;

    /// <summary>Views 512 bytes.</summary>
    /// <exception cref="ArgumentException">The length is not 512.</exception>
    public IdentifyData(Span<byte> data)
    {
        if (data.Length != SizeInBytes) throw new ArgumentException($"IDENTIFY data is {SizeInBytes} bytes, not {data.Length}", nameof(data));
        _data = data;
    }

    /// <summary>One word, by number, 0 to 255; see <see cref="IdentifyWord"/>.</summary>
    public ushort this[int word]
    {
        get => BinaryPrimitives.ReadUInt16LittleEndian(_data[(word * 2)..]);
        set => BinaryPrimitives.WriteUInt16LittleEndian(_data[(word * 2)..], value);
    }

    /// <summary>The model number, up to 40 ASCII characters.</summary>
    public string Model
    {
        get => GetText(IdentifyWord.Model, 40);
        set => SetText(IdentifyWord.Model, 40, value);
    }

    /// <summary>The serial number, up to 20 ASCII characters.</summary>
    public string Serial
    {
        get => GetText(IdentifyWord.Serial, 20);
        set => SetText(IdentifyWord.Serial, 20, value);
    }

    /// <summary>The firmware revision, up to 8 ASCII characters.</summary>
    public string Firmware
    {
        get => GetText(IdentifyWord.Firmware, 8);
        set => SetText(IdentifyWord.Firmware, 8, value);
    }

    /// <summary>The capacity in logical sectors: words 100 to 103 with 48-bit addresses, words 60 and 61 without.</summary>
    public ulong Sectors
    {
        get
        {
            if (!HasLba48) return this[IdentifyWord.Sectors28] | (ulong)this[IdentifyWord.Sectors28 + 1] << 16;
            return BinaryPrimitives.ReadUInt64LittleEndian(_data[(IdentifyWord.Sectors48 * 2)..]) & MaxSectors48;
        }
        set
        {
            var small = (uint)Math.Min(value, MaxSectors28);
            BinaryPrimitives.WriteUInt32LittleEndian(_data[(IdentifyWord.Sectors28 * 2)..], small);
            BinaryPrimitives.WriteUInt64LittleEndian(_data[(IdentifyWord.Sectors48 * 2)..], Math.Min(value, MaxSectors48));
        }
    }

    /// <summary>The number of sectors that 28-bit addresses reach.</summary>
    public const uint MaxSectors28 = 0x0FFF_FFFF;

    /// <summary>The number of sectors that 48-bit addresses reach.</summary>
    public const ulong MaxSectors48 = 0xFFFF_FFFF_FFFF;

    /// <summary>The size of a logical sector, the unit of LBAs: words 106, 117 and 118; 512 by default.</summary>
    public long LogicalSectorBytes
    {
        get
        {
            var size = this[IdentifyWord.SectorSize];
            if ((size & ValidMask) != Valid || (size & 1 << 12) == 0) return 512;
            return 2L * (this[IdentifyWord.LogicalSectorWords] | (uint)this[IdentifyWord.LogicalSectorWords + 1] << 16);
        }
    }

    /// <summary>Sets the sector sizes: words 106, 117 and 118.</summary>
    /// <param name="logical">The size of a logical sector in bytes, the unit of LBAs: 512 or a larger power of two.</param>
    /// <param name="physical">The size of a physical sector: a power of two, at least <paramref name="logical"/>.</param>
    public void SetSectorSizes(int logical, int physical)
    {
        var exponent = int.Log2(physical / logical);
        var isLong = logical > 512;
        this[IdentifyWord.SectorSize] = (ushort)(Valid | (exponent > 0 ? 1 << 13 : 0) | (isLong ? 1 << 12 : 0) | exponent);
        // The size is not reported where it is 512 bytes.
        var words = isLong ? (uint)logical / 2 : 0;
        this[IdentifyWord.LogicalSectorWords] = (ushort)words;
        this[IdentifyWord.LogicalSectorWords + 1] = (ushort)(words >> 16);
    }

    /// <summary>The size of a physical sector: word 106.</summary>
    public long PhysicalSectorBytes
    {
        get
        {
            var size = this[IdentifyWord.SectorSize];
            return (size & ValidMask) == Valid && (size & 1 << 13) != 0 ? LogicalSectorBytes << (size & 0xF) : LogicalSectorBytes;
        }
    }

    /// <summary>48-bit addresses.</summary>
    public bool HasLba48 => Supports(83, 10);

    /// <summary>FLUSH CACHE EXT.</summary>
    public bool HasFlushCacheExt => Supports(83, 13);

    /// <summary>A write cache that needs flushing.</summary>
    public bool HasWriteCache => Supports(82, 5);

    /// <summary>The write cache is enabled.</summary>
    public bool IsWriteCacheEnabled => (this[IdentifyWord.Enabled] & 1 << 5) != 0;

    /// <summary>SMART.</summary>
    public bool HasSmart => Supports(82, 0);

    /// <summary>WRITE DMA FUA EXT.</summary>
    public bool HasFua => (this[84] & ValidMask) == Valid && (this[84] & 1 << 6) != 0;

    /// <summary>The world wide name: words 108 to 111, the first of them the most significant; 0 where there is none.</summary>
    public ulong WorldWideName
    {
        get
        {
            if ((this[IdentifyWord.Enabled + 2] & (ValidMask | 1 << 8)) != (Valid | 1 << 8)) return 0;
            ulong name = 0;
            for (var i = 0; i < 4; i++) name = name << 16 | this[IdentifyWord.WorldWideName + i];
            return name;
        }
    }

    /// <summary>Sets the world wide name, and that it is there: words 84, 87 and 108 to 111.</summary>
    /// <param name="name">An NAA 5 name (IEEE registered).</param>
    public void SetWorldWideName(ulong name)
    {
        this[IdentifyWord.Supported + 2] |= Valid | 1 << 8;
        this[IdentifyWord.Enabled + 2] |= Valid | 1 << 8;
        for (var i = 0; i < 4; i++) this[IdentifyWord.WorldWideName + i] = (ushort)(name >> 16 * (3 - i));
    }

    /// <summary>READ LOG EXT (general purpose logging).</summary>
    public bool HasLogs => (this[IdentifyWord.Supported + 2] & (ValidMask | 1 << 5)) == (Valid | 1 << 5);

    /// <summary>DATA SET MANAGEMENT with TRIM.</summary>
    public bool HasTrim => (this[IdentifyWord.DataSetManagement] & 1) != 0;

    /// <summary>The number of queued commands that the device takes at once; 0 without native command queuing.</summary>
    public int QueueDepth => (this[IdentifyWord.SataCapabilities] & 1 << 8) != 0 ? (this[IdentifyWord.QueueDepth] & 0x1F) + 1 : 0;

    /// <summary>SEND FPDMA QUEUED, with which TRIM can be queued.</summary>
    public bool HasSendQueued => QueueDepth > 0 && (this[IdentifyWord.SataCapabilities2] & 1 << 6) != 0;

    /// <summary>Writes the integrity word (ACS-2 §7.12.7.85), which makes the sum of all bytes 0.</summary>
    public void Seal()
    {
        _data[SizeInBytes - 2] = 0xA5;
        _data[SizeInBytes - 1] = 0;
        _data[SizeInBytes - 1] = (byte)-Sum();
    }

    /// <summary>Whether the integrity word is absent or correct.</summary>
    public bool IsIntact => _data[SizeInBytes - 2] != 0xA5 || Sum() == 0;

    // Words 82 and 83 are valid only if word 83 says so.
    private bool Supports(int word, int bit) => (this[83] & ValidMask) == Valid && (this[word] & 1 << bit) != 0;

    private byte Sum()
    {
        byte sum = 0;
        foreach (var b in _data) sum += b;
        return sum;
    }

    private string GetText(int word, int length)
    {
        Span<byte> text = stackalloc byte[length];
        for (var i = 0; i < length; i++) text[i] = _data[word * 2 + (i ^ 1)];
        return Encoding.ASCII.GetString(text).TrimEnd(' ', '\0');
    }

    // ATA strings hold the first character of each pair in the high byte of a word, and are padded with spaces.
    private void SetText(int word, int length, string value)
    {
        for (var i = 0; i < length; i++)
        {
            var c = i < value.Length ? value[i] : ' ';
            _data[word * 2 + (i ^ 1)] = c is >= ' ' and <= '~' ? (byte)c : (byte)'?';
        }
    }
}
