using VmShunt.Guest.Firmware.Partitions;

namespace VmShunt.Tests.Doubles;

/// <summary>A disk in an array; a read beyond it fails the test.</summary>
internal sealed class MemoryDisk(ulong sectors) : ISectorReader
{
    internal byte[] Content { get; } = new byte[sectors * 512];

    public ulong SectorCount { get; } = sectors;

    public void ReadSectors(ulong sector, Span<byte> buffer)
    {
        Assert.Equal(0, buffer.Length % 512);
        Assert.InRange(sector, 0UL, SectorCount - ((ulong)buffer.Length / 512));
        Content.AsSpan((int)sector * 512, buffer.Length).CopyTo(buffer);
    }

    internal static MemoryDisk With(GptLayout layout, ulong sectors)
    {
        var disk = new MemoryDisk(sectors);
        layout.Head.Span.CopyTo(disk.Content);
        layout.Tail.Span.CopyTo(disk.Content.AsSpan((int)layout.TailSector * 512));
        return disk;
    }
}
