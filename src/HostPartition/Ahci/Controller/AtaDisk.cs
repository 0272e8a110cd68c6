using VmShunt.BlockBackend.Disk;
using VmShunt.BlockBackend.Transition;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;

namespace VmShunt.AhciBackend.Controller;

/// <summary>
/// The ATA device behind the port (ACS-2): executes a Register H2D FIS, transfers data between the disk and the command's
/// memory, and returns its registers. It accesses no HBA register. One command at a time, on the worker thread.
/// </summary>
/// <param name="disk">The disk; not owned.</param>
/// <param name="aborted">Raised while the command is aborted: it does not wait for free space on a full disk.</param>
/// <param name="transition">What the guest's transition allows; null without one.</param>
internal sealed class AtaDisk(VirtualizationDriver disk, SharedFlag aborted, TrapGate? transition = null) : IDisposable
{
    private const int SectorBytes = HostClassDriver.SectorBytes, BufferBytes = 128 << 10, BufferAlignment = 4096;

    // LBAs and counts are in logical sectors, the disk's API in units of 512 bytes.
    private readonly ulong _blockSectors = disk.BlockSectors;
    private readonly byte[] _sector = new byte[SectorBytes];
    // Data is copied through it: however long the disk takes, guest memory is free meanwhile.
    private readonly AlignedBuffer _buffer = new(BufferBytes, BufferAlignment);
    private readonly IoVectors _pieces = new();
    private readonly AtaRanges _ranges = new(disk);
    private readonly QueuedError _queuedError = new();
    private readonly WriteCacheSwitch _writeCache = disk.OpenWriteCache();

    // IDENTIFY reports it until the next power-on: drivers detach a disk whose size changes at a revalidation.
    private ulong _identifiedSectors = disk.SectorCount / disk.BlockSectors;
    private bool _smart = true, _softwareReset;
    private byte _ultraDmaMode = AtaIdentity.DefaultUltraDmaMode;

    /// <summary>The size of a logical sector.</summary>
    internal int BlockBytes => disk.BlockBytes;

    /// <summary>Resets what SET FEATURES and SMART changed. The caller ensures that no command is executing.</summary>
    internal void PowerOn()
    {
        _identifiedSectors = disk.SectorCount / _blockSectors;
        _writeCache.Reset();
        _queuedError.Clear();
        _smart = true;
        _softwareReset = false;
        _ultraDmaMode = AtaIdentity.DefaultUltraDmaMode;
    }

    /// <summary>Waits for the late commands of other front ends, unless the command is aborted meanwhile.</summary>
    internal void AwaitLateCommands()
    {
        while (disk.MustWait && !aborted.IsRaised) Thread.Sleep(1);
    }

    public void Dispose()
    {
        _writeCache.Dispose();
        _buffer.Dispose();
    }

    /// <summary>The link was reset: an error of queued commands ends.</summary>
    internal void ResetLink() => _queuedError.Clear();

    /// <summary>Executes a command. If <paramref name="data"/> has a fault afterwards, the result has no meaning.</summary>
    /// <param name="fis">The command.</param>
    /// <param name="data">Its memory.</param>
    /// <param name="outstanding">The tags of queued commands that are not reported yet.</param>
    internal AtaResult Execute(in HostToDeviceFis fis, PrdtCursor data, uint outstanding)
    {
        if ((fis.Flags & FisFlags.C) == 0) return Control(fis);
        transition?.CountRequest();
        if (_queuedError.IsPending && !IsQueuedErrorLog(fis)) return Abort(fis);
        if (IsQueued(fis.Command)) return ExecuteQueued(fis, data, outstanding);
        if (outstanding == 0) return ExecuteAlone(fis, data);
        // Only queued commands may be sent while others are queued.
        var mixed = Abort(fis);
        _queuedError.Set(mixed, wasQueued: false);
        return mixed;
    }

    private AtaResult ExecuteAlone(in HostToDeviceFis fis, PrdtCursor data) =>
        fis.Command switch
        {
            AtaCommand.IdentifyDevice => Identify(fis, data),
            AtaCommand.ReadDma => Read28(fis, data, AtaReport.Register),
            AtaCommand.ReadSectors => Read28(fis, data, AtaReport.PioSetup),
            AtaCommand.ReadDmaExt => Read48(fis, data, AtaReport.Register),
            AtaCommand.ReadSectorsExt => Read48(fis, data, AtaReport.PioSetup),
            AtaCommand.WriteDma or AtaCommand.WriteSectors => Write28(fis, data),
            AtaCommand.WriteDmaExt or AtaCommand.WriteSectorsExt => Write48(fis, data, forceUnitAccess: false),
            AtaCommand.WriteDmaFuaExt => Write48(fis, data, forceUnitAccess: true),
            AtaCommand.ReadVerifySectors => AtaExtent.TryDecode28(fis.Address, out var extent) ? Verify(fis, extent) : Abort(fis),
            AtaCommand.ReadVerifySectorsExt => Verify(fis, AtaExtent.Decode48(fis.Address)),
            AtaCommand.FlushCache or AtaCommand.FlushCacheExt => Flush(fis),
            AtaCommand.StandbyImmediate or AtaCommand.Standby or AtaCommand.Sleep => Flush(fis),
            AtaCommand.IdleImmediate or AtaCommand.Idle => AtaResult.Good(fis.Address),
            AtaCommand.CheckPowerMode => AtaResult.Good(fis.Address with { Count = 0xFF }),
            AtaCommand.DataSetManagement => DataSetManagement(fis, data),
            AtaCommand.SetFeatures => SetFeatures(fis),
            AtaCommand.Smart => Smart(fis, data),
            AtaCommand.ReadLogExt => ReadLog(fis, data, page: fis.Address.Lba1 | fis.Address.Lba4 << 8),
            AtaCommand.ExecuteDeviceDiagnostic => AtaResult.Signature with { Report = AtaReport.Register },
            _ => Abort(fis),
        };

    private static bool IsQueued(AtaCommand command) => command is AtaCommand.ReadFpdmaQueued or AtaCommand.WriteFpdmaQueued or AtaCommand.SendFpdmaQueued;

    private static bool IsQueuedErrorLog(in HostToDeviceFis fis) => fis.Command == AtaCommand.ReadLogExt && (AtaLog)fis.Address.Lba0 == AtaLog.QueuedError;

    // The tag must be free. A failed command's error is kept for its log.
    private AtaResult ExecuteQueued(in HostToDeviceFis fis, PrdtCursor data, uint outstanding)
    {
        const int trimSubcommand = 0;
        const uint trim = 1;
        var isTaken = (outstanding >> fis.Address.Tag & 1) != 0;
        var isTrim = (fis.Address.Count >> 8 & 0x1F) == trimSubcommand && fis.Auxiliary == trim;
        var result = fis.Command switch
        {
            _ when isTaken => Abort(fis),
            AtaCommand.ReadFpdmaQueued => Read(fis, AtaExtent.DecodeQueued(fis), data, AtaReport.Register),
            AtaCommand.WriteFpdmaQueued => Write(fis, AtaExtent.DecodeQueued(fis), data, (fis.Address.Device & AtaDevice.FUA) != 0),
            _ => isTrim ? Trim(fis, data, fis.FeaturesWord) : Abort(fis),
        };
        if (result.Failed && data.Fault == PortInterrupt.None) _queuedError.Set(result, wasQueued: true);
        return result with { Report = AtaReport.SetDeviceBits };
    }

    // After SRST is set and cleared the device sends its signature (AHCI 1.3.1 §10.4.1).
    private AtaResult Control(in HostToDeviceFis fis)
    {
        var was = _softwareReset;
        _softwareReset = (fis.Control & AtaControl.SRST) != 0;
        if (_softwareReset) _queuedError.Clear();
        return was && !_softwareReset ? AtaResult.Signature : new AtaResult(AtaReport.None, AtaStatus.Ready, AtaError.None, fis.Address);
    }

    private AtaResult Identify(in HostToDeviceFis fis, PrdtCursor data)
    {
        AtaIdentity.Describe(disk, _identifiedSectors, _writeCache, _smart, _ultraDmaMode, new IdentifyData(_sector));
        return Send(fis, data);
    }

    private AtaResult Read28(in HostToDeviceFis fis, PrdtCursor data, AtaReport report) =>
        AtaExtent.TryDecode28(fis.Address, out var extent) ? Read(fis, extent, data, report) : Abort(fis);

    private AtaResult Read48(in HostToDeviceFis fis, PrdtCursor data, AtaReport report) =>
        Read(fis, AtaExtent.Decode48(fis.Address), data, report);

    private AtaResult Read(in HostToDeviceFis fis, AtaExtent extent, PrdtCursor data, AtaReport report)
    {
        if (!extent.IsOn(SectorCount)) return NotFound(fis, extent);
        var sectors = extent.Sectors * _blockSectors;
        for (ulong done = 0; done < sectors;)
        {
            if (!data.TryGather(Math.Min((long)(sectors - done) * SectorBytes, BufferBytes), deviceWrites: true)) break;
            var status = disk.Read(extent.Lba * _blockSectors + done, Buffered(data.Gathered));
            if (status != DiskStatus.Ok) return AtaResult.Bad(AtaError.UNC, fis.Address with { Lba = extent.Lba + done / _blockSectors });
            if (!data.TryStore(_buffer.Span[..data.Gathered])) break;
            transition?.CountRead(data.Gathered);
            done += (ulong)data.Gathered / SectorBytes;
        }
        return AtaResult.Good(fis.Address) with { Report = report };
    }

    private AtaResult Write28(in HostToDeviceFis fis, PrdtCursor data) =>
        AtaExtent.TryDecode28(fis.Address, out var extent) ? Write(fis, extent, data, forceUnitAccess: false) : Abort(fis);

    private AtaResult Write48(in HostToDeviceFis fis, PrdtCursor data, bool forceUnitAccess) =>
        Write(fis, AtaExtent.Decode48(fis.Address), data, forceUnitAccess);

    private AtaResult Write(in HostToDeviceFis fis, AtaExtent extent, PrdtCursor data, bool forceUnitAccess)
    {
        if (!MayWrite) return Abort(fis);
        if (!extent.IsOn(SectorCount)) return NotFound(fis, extent);
        var sectors = extent.Sectors * _blockSectors;
        for (ulong done = 0; done < sectors;)
        {
            if (!data.TryGather(Math.Min((long)(sectors - done) * SectorBytes, BufferBytes), deviceWrites: false) || !data.TryLoad(_buffer.Span[..data.Gathered]))
                return AtaResult.Good(fis.Address);
            // A write that is stopped, while it waits for free space, is an aborted command's.
            if (disk.Write(extent.Lba * _blockSectors + done, Buffered(data.Gathered), aborted) != DiskStatus.Ok) return Fault(fis.Address with { Lba = extent.Lba + done / _blockSectors });
            done += (ulong)data.Gathered / SectorBytes;
        }
        return forceUnitAccess ? Flush(fis) : AtaResult.Good(fis.Address);
    }

    private bool MayWrite => !disk.IsReadOnly && (transition is null || transition.MayWrite || transition.Ask(aborted));

    // Checks the range only: the disk stack has no read without a buffer.
    private AtaResult Verify(in HostToDeviceFis fis, AtaExtent extent) =>
        extent.IsOn(SectorCount) ? AtaResult.Good(fis.Address) : NotFound(fis, extent);

    private AtaResult Flush(in HostToDeviceFis fis) =>
        _writeCache.Flush() == DiskStatus.Ok ? AtaResult.Good(fis.Address) : Fault(fis.Address);

    private AtaResult DataSetManagement(in HostToDeviceFis fis, PrdtCursor data)
    {
        const byte trim = 1;
        return fis.Features == trim ? Trim(fis, data, fis.Address.Count) : Abort(fis);
    }

    private AtaResult Trim(in HostToDeviceFis fis, PrdtCursor data, int blocks)
    {
        if (!MayWrite || blocks is 0 or > AtaRanges.MaxBlocks) return Abort(fis);
        if (!_ranges.TryReceive(data, blocks)) return AtaResult.Good(fis.Address);
        return _ranges.Discard(SectorCount) switch
        {
            DiskStatus.Ok => AtaResult.Good(fis.Address),
            DiskStatus.OutOfRange => AtaResult.Bad(AtaError.IDNF | AtaError.ABRT, fis.Address),
            _ => Fault(fis.Address),
        };
    }

    private AtaResult SetFeatures(in HostToDeviceFis fis)
    {
        switch ((AtaFeature)fis.Features)
        {
            case AtaFeature.EnableWriteCache or AtaFeature.DisableWriteCache:
                var on = (AtaFeature)fis.Features == AtaFeature.EnableWriteCache;
                return _writeCache.Turn(on) switch
                {
                    DiskStatus.Ok => AtaResult.Good(fis.Address),
                    DiskStatus.Unsupported => Abort(fis),
                    _ => Fault(fis.Address),
                };
            case AtaFeature.EnableReadLookAhead or AtaFeature.DisableReadLookAhead:
                return AtaResult.Good(fis.Address);
            case AtaFeature.SetTransferMode:
                return SetTransferMode(fis);
            default:
                return Abort(fis);
        }
    }

    private AtaResult SetTransferMode(in HostToDeviceFis fis)
    {
        var mode = (byte)(fis.Address.Count & 7);
        switch ((fis.Address.Count & 0xFF) >> 3)
        {
            case 0 when mode <= 1: // PIO default
            case 1 when mode <= 4: // PIO with flow control
            case 4 when mode <= 2: // multiword DMA
                return AtaResult.Good(fis.Address);
            case 8 when mode <= AtaIdentity.DefaultUltraDmaMode:
                _ultraDmaMode = mode;
                return AtaResult.Good(fis.Address);
            default:
                return Abort(fis);
        }
    }

    private AtaResult Smart(in HostToDeviceFis fis, PrdtCursor data)
    {
        var subcommand = (AtaSmart)fis.Features;
        if ((ushort)(fis.Address.Lba >> 8) != AtaSmartKey.Lba) return Abort(fis);
        if (!_smart && subcommand != AtaSmart.EnableOperations) return Abort(fis);
        switch (subcommand)
        {
            case AtaSmart.EnableOperations or AtaSmart.DisableOperations:
                _smart = subcommand == AtaSmart.EnableOperations;
                return AtaResult.Good(fis.Address);
            case AtaSmart.ReturnStatus: // an unchanged key: no threshold exceeded
                return AtaResult.Good(fis.Address);
            case AtaSmart.ReadData or AtaSmart.ReadThresholds:
                AtaIdentity.DescribeHealth(_sector);
                return Send(fis, data);
            case AtaSmart.ReadLog:
                return ReadLog(fis, data, page: 0);
            default:
                return Abort(fis);
        }
    }

    // Every log has one page. SMART READ LOG has the directory alone.
    private AtaResult ReadLog(in HostToDeviceFis fis, PrdtCursor data, int page)
    {
        var log = (AtaLog)fis.Address.Lba0;
        if (page != 0 || fis.Address.Count != 1 || (log != AtaLog.Directory && fis.Command != AtaCommand.ReadLogExt)) return Abort(fis);
        switch (log)
        {
            case AtaLog.Directory:
                AtaIdentity.DescribeLogs(_sector, fis.Command == AtaCommand.ReadLogExt, !disk.IsReadOnly);
                break;
            case AtaLog.QueuedError:
                _queuedError.TakeLog(_sector);
                break;
            case AtaLog.SendReceive when !disk.IsReadOnly:
                AtaIdentity.DescribeSendQueued(_sector);
                break;
            default:
                return Abort(fis);
        }
        return Send(fis, data);
    }

    private AtaResult Send(in HostToDeviceFis fis, PrdtCursor data)
    {
        _ = data.TrySend(_sector);
        return AtaResult.Good(fis.Address) with { Report = AtaReport.PioSetup };
    }

    private IoVectors Buffered(int bytes)
    {
        _pieces.Clear();
        _buffer.AppendTo(_pieces, bytes);
        return _pieces;
    }

    /// <summary>The logical sectors that can be accessed: those that IDENTIFY reports, without those that the disk has lost.</summary>
    private ulong SectorCount => Math.Min(_identifiedSectors, disk.SectorCount / _blockSectors);

    private static AtaResult Abort(in HostToDeviceFis fis) => AtaResult.Bad(AtaError.ABRT, fis.Address);

    private static AtaResult Fault(in AtaAddress address) => AtaResult.Bad(AtaError.ABRT, address, AtaStatus.DF);

    private AtaResult NotFound(in HostToDeviceFis fis, AtaExtent extent) =>
        AtaResult.Bad(AtaError.IDNF, fis.Address with { Lba = Math.Max(extent.Lba, SectorCount) });
}
