using System.Buffers.Binary;
using VmShunt.BlockBackend.Disk;
using VmShunt.Trap.Ahci;

namespace VmShunt.AhciBackend.Controller;

/// <summary>The LBA range entries of DATA SET MANAGEMENT (ACS-2 §7.10): 8 bytes each, LBA in bits 47:0, length in 63:48.</summary>
internal sealed class AtaRanges(VirtualizationDriver disk)
{
    /// <summary>The most blocks of 64 entries per command, as reported in IDENTIFY word 105.</summary>
    internal const int MaxBlocks = 8;

    private const int EntryBytes = 8;
    private readonly byte[] _blocks = new byte[MaxBlocks * HostClassDriver.SectorBytes];
    private int _bytes;

    /// <summary>Copies the entries out of guest memory, once.</summary>
    internal bool TryReceive(PrdtCursor data, int blocks)
    {
        _bytes = blocks * HostClassDriver.SectorBytes;
        for (var at = 0; at < _bytes; at += HostClassDriver.SectorBytes)
            if (!data.TryReceive(_blocks.AsSpan(at, HostClassDriver.SectorBytes))) return false;
        return true;
    }

    /// <summary>Discards the ranges; none of them if one is not on the disk.</summary>
    /// <param name="capacity">The disk's logical sectors.</param>
    internal DiskStatus Discard(ulong capacity)
    {
        for (var at = 0; at < _bytes; at += EntryBytes)
            if (Entry(at) is { Sectors: > 0 } extent && !extent.IsOn(capacity)) return DiskStatus.OutOfRange;
        for (var at = 0; at < _bytes; at += EntryBytes)
        {
            var extent = Entry(at);
            if (extent.Sectors == 0) continue;
            // Entries are in logical sectors, the disk's API in units of 512 bytes.
            var status = disk.Discard(extent.Lba * disk.BlockSectors, extent.Sectors * disk.BlockSectors);
            if (status != DiskStatus.Ok) return status;
        }
        return DiskStatus.Ok;
    }

    private AtaExtent Entry(int at) => AtaExtent.DecodeRange(BinaryPrimitives.ReadUInt64LittleEndian(_blocks.AsSpan(at)));
}
