using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;
using Xunit.Abstractions;

namespace VmShunt.Tests.Ring.Files;

/// <summary>Results are the same with every set of features, so also on a kernel that lacks them.</summary>
public sealed class IoUringTests : IDisposable
{
    private const int Depth = 16, Unit = 4096, Units = 64, MostUnits = 4;

    private readonly TestMemory _ram = new(Depth * 2 * MostUnits * Unit);
    private readonly string _path = Path.GetTempFileName();
    private readonly SafeFileHandle _file;
    private readonly EventFd _completed = EventFd.Create();
    private readonly byte[] _model = new byte[Units * Unit];
    private readonly IoVectors[] _lists = [.. Enumerable.Range(0, Depth).Select(_ => new IoVectors())];
    private readonly ITestOutputHelper _output;

    public IoUringTests(ITestOutputHelper output)
    {
        _output = output;
        Random.Shared.NextBytes(_model);
        File.WriteAllBytes(_path, _model);
        _file = File.OpenHandle(_path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
    }

    public void Dispose()
    {
        _file.Dispose();
        File.Delete(_path);
        _completed.Dispose();
        _ram.Dispose();
    }

    public static TheoryData<IoUringFeatures, bool> FeaturesAndModes()
    {
        var all = new TheoryData<IoUringFeatures, bool>();
        foreach (var direct in (bool[])[false, true])
        {
            foreach (var features in (IoUringFeatures[])[IoUringFeatures.None, IoUringFeatures.SinglePiece, IoUringFeatures.Cooperative, IoUringFeatures.All]) all.Add(features, direct);
        }
        return all;
    }

    [Theory]
    [MemberData(nameof(FeaturesAndModes))]
    public void Concurrent_operations_complete_once_each_and_match_a_model(IoUringFeatures features, bool direct)
    {
        var seed = Random.Shared.Next();
        _output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var isAligned = direct && DirectIo.TryEnable(_file, out _);
        using var ring = Make(features);
        ring.Disarm();
        using var sleep = new WaitSet(_completed.Handle);
        var asked = new (bool IsWrite, int At, int Bytes)[Depth];
        for (var round = 0; round < 150; round++)
        {
            var count = random.Next(1, Depth + 1);
            for (var i = 0; i < count; i++)
            {
                // Each operation has its own part of the file.
                const int band = Units / Depth * Unit;
                var bytes = isAligned ? random.Next(1, MostUnits + 1) * Unit : random.Next(1, MostUnits * Unit + 1);
                asked[i] = (random.Next(3) == 0, i * band + (isAligned ? random.Next((band - bytes) / Unit + 1) * Unit : random.Next(band - bytes + 1)), bytes);
                Spread(random, i, bytes, isAligned);
                for (var piece = 0; piece < _lists[i].Count; piece++) random.NextBytes(_lists[i][piece]);
                if (asked[i].IsWrite) _lists[i].CopyTo(_model.AsSpan(asked[i].At, bytes));
                if (asked[i].IsWrite) ring.PrepareWrite(_lists[i], asked[i].At, (ulong)i);
                else ring.PrepareRead(_lists[i], asked[i].At, (ulong)i);
                if (random.Next(4) == 0) ring.Submit();
            }
            Assert.Equal(count, ring.InFlight);
            var completed = new bool[count];
            while (ring.InFlight > 0)
            {
                // A wait submits, too; before the other two it is done here.
                var wait = random.Next(3);
                if (wait == 0) ring.WaitForOne();
                else ring.Submit();
                if (wait == 1) Sleep(ring, sleep);
                ulong token;
                int result;
                while (!ring.TryReap(out token, out result)) Assert.NotEqual(0, wait);
                Assert.False(completed[token], $"operation {token} completed twice");
                completed[token] = true;
                var (isWrite, at, bytes) = asked[token];
                Assert.Equal(bytes, result);
                var got = new byte[bytes];
                _lists[token].CopyTo(got);
                if (!isWrite && !got.AsSpan().SequenceEqual(_model.AsSpan(at, bytes))) Assert.Fail($"{bytes} bytes at {at} differ from the model");
            }
            Assert.DoesNotContain(false, completed);
            Assert.False(ring.TryReap(out _, out _));
        }
        Assert.Equal(_model, File.ReadAllBytes(_path));
    }

    [Theory]
    [MemberData(nameof(FeaturesAndModes))]
    public void A_short_read_and_a_failed_write_report_their_results(IoUringFeatures features, bool direct)
    {
        if (direct) _ = DirectIo.TryEnable(_file, out _);
        using var ring = Make(features);
        foreach (var pieces in (int[])[1, 2])
        {
            _lists[0].Clear();
            for (var i = 0; i < pieces; i++) Assert.True(_ram.Memory.TryAppend(TestMemory.Start + (ulong)(i * 2 * Unit), Unit, deviceWrites: true, _lists[0]));
            Assert.Equal(pieces, _lists[0].Count);
            Assert.Equal((pieces - 1) * Unit, Do(() => ring.PrepareRead(_lists[0], (Units - pieces + 1) * Unit, 7)));
            Assert.InRange(Do(() => ring.PrepareWrite(_lists[0], long.MaxValue - Unit, 7)), int.MinValue, -1);
        }

        int Do(Action prepare)
        {
            prepare();
            ring.WaitForOne();
            Assert.True(ring.HasEnded);
            Assert.True(ring.TryReap(out var token, out var result));
            Assert.Equal((7UL, 0), (token, ring.InFlight));
            return result;
        }
    }

    private IoUring Make(IoUringFeatures features)
    {
        var ring = IoUring.TryCreate(Depth, _file, _completed, features);
        Assert.NotNull(ring);
        Assert.Equal(Depth, ring.Capacity);
        return ring;
    }

    private void Sleep(IoUring ring, WaitSet sleep)
    {
        if (!ring.Arm())
        {
            Assert.True(sleep.Wait(60_000), "no completion was signalled");
            _completed.TryDrain();
        }
        ring.Disarm();
    }

    /// <summary>Fills an operation's list with pieces that are not adjacent.</summary>
    private void Spread(Random random, int operation, int bytes, bool isAligned)
    {
        var list = _lists[operation];
        list.Clear();
        var pieces = isAligned ? random.Next(1, bytes / Unit + 1) : random.Next(1, Math.Min(bytes, MostUnits) + 1);
        var from = TestMemory.Start + (ulong)(operation * 2 * MostUnits * Unit);
        for (var i = 0; i < pieces; i++)
        {
            var rest = bytes - (int)list.TotalBytes;
            var most = rest - (pieces - 1 - i) * (isAligned ? Unit : 1);
            var here = i == pieces - 1 ? rest : isAligned ? random.Next(1, most / Unit + 1) * Unit : random.Next(1, most + 1);
            var gap = isAligned ? Unit : random.Next(1, Unit);
            Assert.True(_ram.Memory.TryAppend(from, (ulong)here, deviceWrites: true, list));
            from += (ulong)(here + gap);
        }
        Assert.Equal((bytes, pieces), ((int)list.TotalBytes, list.Count));
    }
}
