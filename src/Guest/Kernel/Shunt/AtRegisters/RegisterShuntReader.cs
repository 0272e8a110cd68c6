using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Trap.Ahci;

namespace VmShunt.Guest.Shunt.AtRegisters;

/// <summary>
/// Reads a whole AHCI command from guest memory and translates it into block requests. The memory is untrusted: each
/// structure is read once and checked. A command that is unusual or wrong is left to the controller, which has the right
/// response to it. Allocates nothing.
/// </summary>
internal static class RegisterShuntReader
{
    private const int SectorBytes = DiskClassDriver.SectorBytes;
    private const int MaxEntries = 256;
    private const byte Trim = 1;
    private const int MaxTrimBlocks = 8;

    /// <summary>Reads the command at a command header.</summary>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="header">Guest-physical address of the header.</param>
    /// <param name="target">Executes the requests; has the disk's geometry.</param>
    /// <param name="primary">The request types that may be diverted.</param>
    /// <param name="command">Filled with the requests.</param>
    /// <returns>False when the command must trap.</returns>
    internal static bool TryRead(GuestMemory memory, ulong header, IBlockDriver target, RequestTypes primary, RegisterShuntCommand command)
    {
        const CommandHeaderFlags unusual = CommandHeaderFlags.A | CommandHeaderFlags.R | CommandHeaderFlags.B | CommandHeaderFlags.PMPMask;
        if (!memory.TryRead<CommandHeader>(header, out var head)) return false;
        if ((int)(head.Flags & CommandHeaderFlags.CFLMask) < HostToDeviceFis.Dwords || (head.Flags & unusual) != 0) return false;
        var table = head.CommandTable;
        if (!memory.TryRead<HostToDeviceFis>(table + CommandTable.CFIS, out var fis)) return false;
        if (fis.Type != FisType.RegisterH2D || fis.Flags != FisFlags.C) return false;

        var entries = new Entries(memory, table + CommandTable.PRDT, head.PRDTL);
        switch (fis.Command)
        {
            case AtaCommand.ReadDmaExt:
                return TryTransfer(BlockOperation.Read, AtaExtent.Decode48(fis.Address));
            case AtaCommand.WriteDmaExt:
                return TryTransfer(BlockOperation.Write, AtaExtent.Decode48(fis.Address));
            case AtaCommand.ReadDma:
                return AtaExtent.TryDecode28(fis.Address, out var read) && TryTransfer(BlockOperation.Read, read);
            case AtaCommand.WriteDma:
                return AtaExtent.TryDecode28(fis.Address, out var write) && TryTransfer(BlockOperation.Write, write);
            case AtaCommand.FlushCache or AtaCommand.FlushCacheExt when IsPrimary(primary, BlockOperation.Flush):
                command.Begin(target, BlockOperation.Flush, default, fis.Address, 0);
                return command.TryAdd(BlockOperation.Flush, 0, 0, 0);
            case AtaCommand.DataSetManagement when fis.Features == Trim && IsPrimary(primary, BlockOperation.Discard):
                return TryTrim(memory, target, fis.Address, entries, command);
            default:
                return false;
        }

        bool TryTransfer(BlockOperation operation, AtaExtent extent)
        {
            var disk = target.Geometry;
            if (!IsPrimary(primary, operation) || !extent.IsOn(disk.SectorCount)) return false;
            command.Begin(target, operation, extent, fis.Address, (uint)extent.Sectors * SectorBytes);
            return TryDescribe(disk, entries, command);
        }
    }

    private static bool IsPrimary(RequestTypes primary, BlockOperation operation) => primary.Includes(operation);

    // Translates the PRDT into requests. A sector that is split between two memory ranges cannot be one.
    private static bool TryDescribe(DiskGeometry disk, Entries entries, RegisterShuntCommand command)
    {
        var sector = command.Extent.Lba;
        for (var left = (int)command.TableBytes; left > 0;)
        {
            if (!entries.TryTakeRun(left, out var address, out var run) || run % SectorBytes != 0) return false;
            left -= run;
            while (run > 0)
            {
                var here = Math.Min(run, disk.MaxTransferBytes);
                if (!command.TryAdd(command.Operation, sector, here, address)) return false;
                sector += (ulong)(here / SectorBytes);
                address += (ulong)here;
                run -= here;
            }
        }
        command.RaisesDescriptorProcessed = entries.SawInterrupt;
        return true;
    }

    private static bool TryTrim(GuestMemory memory, IBlockDriver target, in AtaAddress registers, Entries entries, RegisterShuntCommand command)
    {
        int blocks = registers.Count;
        if (blocks is 0 or > MaxTrimBlocks) return false;
        var bytes = blocks * SectorBytes;
        if (!entries.TryTakeRun(bytes, out var address, out var run) || run != bytes) return false;
        var capacity = target.Geometry.SectorCount;
        command.Begin(target, BlockOperation.Discard, default, registers, (uint)bytes);
        command.RaisesDescriptorProcessed = entries.SawInterrupt;
        var any = false;
        for (var at = 0; at < bytes; at += sizeof(ulong))
        {
            if (!memory.TryRead<ulong>(address + (ulong)at, out var entry)) return false;
            var extent = AtaExtent.DecodeRange(entry);
            if (extent.Sectors == 0) continue;
            // The controller discards nothing if one range is beyond the disk.
            if (!extent.IsOn(capacity) || !command.TryAdd(BlockOperation.Discard, extent.Lba, (int)extent.Sectors * SectorBytes, 0)) return false;
            any = true;
        }
        return any;
    }

    /// <summary>Walks a PRDT (AHCI 1.3.1 §4.2.3.3) once and merges entries whose memory is contiguous.</summary>
    private struct Entries(GuestMemory memory, ulong table, int count)
    {
        private int _next;
        private ulong _address;
        private int _left;
        private bool _interruptAtEnd;

        /// <summary>Whether an entry with the I bit was consumed whole.</summary>
        internal bool SawInterrupt { get; private set; }

        /// <summary>Consumes the next contiguous range, at most <paramref name="most"/> bytes.</summary>
        /// <returns>False when the PRDT is too short or wrong.</returns>
        internal bool TryTakeRun(int most, out ulong address, out int bytes)
        {
            (address, bytes) = (0, 0);
            while (bytes < most)
            {
                if (_left == 0 && !TryNextEntry())
                {
                    // At the end of the PRDT a shorter range is returned; a caller that needs more finds none.
                    if (_next < count || bytes == 0) return false;
                    break;
                }
                if (bytes == 0) address = _address;
                else if (address + (ulong)bytes != _address) break;
                var here = Math.Min(_left, most - bytes);
                bytes += here;
                _address += (ulong)here;
                _left -= here;
                if (_left == 0) SawInterrupt |= _interruptAtEnd;
            }
            return memory.TryGetWindow(address, bytes, out _);
        }

        private bool TryNextEntry()
        {
            if (_next >= Math.Min(count, MaxEntries)) return false;
            if (!memory.TryRead<PrdtEntry>(table + (ulong)_next * PrdtEntry.SizeInBytes, out var entry)) return false;
            if ((entry.Address & 1) != 0 || (entry.ByteCount & 1) != 0) return false;
            _next++;
            _address = entry.Address;
            _left = entry.ByteCount;
            _interruptAtEnd = entry.Interrupt;
            return true;
        }
    }
}
