using System.Runtime.InteropServices;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.HostPartition.Block.Disk;

/// <summary>
/// Requests of both front ends on one disk whose power is lost after any of them. A sector then holds what was durable, or
/// what was written since (virtio 1.3 §5.2.6.2).
/// </summary>
public sealed class PowerLossTests : IDisposable
{
    private const int Sectors = 16, Steps = 1_500, MostSectors = 4, SectorBytes = PowerLossPortDriver.SectorBytes;

    private readonly PowerLossPortDriver _port = new(Sectors);
    private readonly int _seed = Environment.TickCount;
    private readonly Random _random;

    // Per sector, the stamps that it may hold: the last durable one, and those written since.
    private readonly List<ulong>[] _allowed = [.. Enumerable.Range(0, Sectors).Select(static _ => new List<ulong> { 0 })];
    private AhciMachine? _machine;
    private BlkSession? _ring;
    private bool _hasCache, _isTrapCacheOff, _isRingCacheOff;
    private ulong _stamp;

    public PowerLossTests() => _random = new Random(_seed);

    public void Dispose()
    {
        _ring?.Dispose();
        _machine?.Dispose();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void After_a_power_loss_each_sector_has_its_last_durable_value_or_a_later_one(bool writeCache)
    {
        _hasCache = writeCache;
        _machine = new AhciMachine(_port, writeCache: writeCache).Start();
        _ring = new BlkSession(_machine.Disk).Start();
        for (var step = 0; step < Steps; step++)
        {
            var what = Step();
            var image = _port.Lose(_random);
            for (var sector = 0; sector < Sectors; sector++)
            {
                var words = MemoryMarshal.Cast<byte, ulong>(image.AsSpan(sector * SectorBytes, SectorBytes));
                Assert.True(
                    _allowed[sector].Contains(words[0]) && words.IndexOfAnyExcept(words[0]) < 0,
                    $"after step {step} ({what}) sector {sector} holds {words[0]}, not one of {string.Join(", ", _allowed[sector])}; seed {_seed}");
            }
        }
    }

    private string Step()
    {
        var isTrap = _random.Next(2) == 0;
        switch (_random.Next(10))
        {
            case 0:
                Flush(isTrap);
                NoteDurable();
                return $"flush, trap {isTrap}";
            case 1 when _hasCache:
                var off = _random.Next(2) == 0;
                Switch(isTrap, off);
                if (off) NoteDurable();
                return $"cache off {off}, trap {isTrap}";
            case 2:
                var first = _random.Next(Sectors);
                Zero(first);
                return $"zeroes at {first}";
            default:
                var (at, count, force) = (_random.Next(Sectors - MostSectors + 1), 1 + _random.Next(MostSectors), isTrap && _random.Next(5) == 0);
                Write(isTrap, at, count, force);
                return $"write {at}+{count}, trap {isTrap}, FUA {force}";
        }
    }

    private void Flush(bool isTrap)
    {
        if (isTrap) Assert.Equal(PortInterrupt.DHRS, _machine!.Run(AhciMachine.Fis(AtaCommand.FlushCacheExt)));
        else Assert.Equal(VirtioBlkStatus.Ok, _ring!.Do(VirtioBlkRequestType.Flush));
    }

    private void Switch(bool isTrap, bool off)
    {
        if (isTrap)
        {
            _isTrapCacheOff = off;
            Assert.Equal(PortInterrupt.DHRS, _machine!.Run(AhciMachine.Fis(AtaCommand.SetFeatures, features: (byte)(off ? AtaFeature.DisableWriteCache : AtaFeature.EnableWriteCache))));
        }
        else
        {
            _isRingCacheOff = off;
            _ring!.WriteConfig(VirtioBlkConfig.WriteCacheOffset, [(byte)(off ? 0 : 1)]);
        }
    }

    private void Zero(int sector)
    {
        Assert.Equal(VirtioBlkStatus.Ok, _ring!.Range(VirtioBlkRequestType.WriteZeroes, new VirtioBlkRange { Sector = (ulong)sector, SectorCount = 1 }));
        Note(sector, 1, 0);
        if (IsWriteThrough) NoteDurable();
    }

    private void Write(bool isTrap, int sector, int count, bool force)
    {
        var stamp = ++_stamp;
        var bytes = count * SectorBytes;
        var data = isTrap ? _machine!.Memory.GetSpan(AhciMachine.Data, bytes) : _ring!.Ram(BlkSession.Data, bytes);
        MemoryMarshal.Cast<byte, ulong>(data).Fill(stamp);
        var command = force ? AtaCommand.WriteDmaFuaExt : AtaCommand.WriteDmaExt;
        if (isTrap) Assert.Equal(PortInterrupt.DHRS, _machine!.Run(AhciMachine.Fis(command, (ulong)sector, count), (AhciMachine.Data, bytes)));
        else Assert.Equal(VirtioBlkStatus.Ok, _ring!.Do(VirtioBlkRequestType.Out, (ulong)sector, bytes));
        Note(sector, count, stamp);
        if (force || IsWriteThrough) NoteDurable();
    }

    // While the cache of one front end is off, writes of all are durable when they complete.
    private bool IsWriteThrough => !_hasCache || _isTrapCacheOff || _isRingCacheOff;

    private void Note(int first, int count, ulong stamp)
    {
        for (var sector = first; sector < first + count; sector++) _allowed[sector].Add(stamp);
    }

    private void NoteDurable()
    {
        foreach (var stamps in _allowed) stamps.RemoveRange(0, stamps.Count - 1);
    }
}
