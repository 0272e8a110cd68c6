using System.Diagnostics;
using System.Runtime.InteropServices;
using VmShunt.Perf.Bench.Ends;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Launch;
using VmShunt.Ring.Memory;

namespace VmShunt.Perf.Compare.Sitting;

/// <summary>
/// What this machine can do at all at this moment: a cache line to another process and back, a system call, a copy of
/// 4 KiB. It is taken anew in every round, because it changes by the minute where cores are shared.
/// </summary>
internal sealed class Calibration : IDisposable
{
    internal const string PingPong = "cache-line ping-pong", SystemCall = "system call", WarmCopy = "memcpy 4 KiB, warm", DiskCopy = "memcpy 4 KiB of the disk's range";
    internal const int CopyBytes = 4096;

    private static readonly TimeSpan s_turn = TimeSpan.FromMilliseconds(12);

    private readonly OrphanGuard _guard;
    private readonly RingMemory _memory = RingMemory.Create(dataBytes: 4096);
    private readonly ProcessPeer _peer;
    private readonly CacheLine _line;
    private readonly byte[] _target = GC.AllocateArray<byte>(64 * CopyBytes, pinned: true);

    // As VM-H's memory disk is.
    private readonly PrivateMemory _source;
    private readonly uint _blocks;
    private uint _random = 20071;
    private int _parent;

    /// <param name="diskBytes">How large the disk is that blocks are copied from at random.</param>
    /// <param name="guard">Who ends the other process should this one be killed.</param>
    internal Calibration(long diskBytes, OrphanGuard guard)
    {
        _guard = guard;
        _source = new PrivateMemory(diskBytes);
        new Random(1).NextBytes(_source.At(0, (int)diskBytes));
        _blocks = (uint)(diskBytes / CopyBytes);
        _peer = new ProcessPeer(PeerWork.CacheLine, _memory);
        guard.Watch(_peer.ProcessId);
        _line = new CacheLine(_memory.Ball, _peer.Gone);
        // Until the JIT has compiled both ends for good.
        var start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < TimeSpan.FromMilliseconds(400)) _ = MeasureAll();
        _ = Signal.Send(_peer.ProcessId, Signal.Stop);
    }

    /// <summary>Measures everything once; the other process runs only meanwhile.</summary>
    internal CalibrationPoint Take()
    {
        _ = Signal.Send(_peer.ProcessId, Signal.Continue);
        try
        {
            for (var i = 0; i < 1000; i++) _line.RoundTrip();
            return MeasureAll();
        }
        finally
        {
            _ = Signal.Send(_peer.ProcessId, Signal.Stop);
        }
    }

    public void Dispose()
    {
        _ = Signal.Send(_peer.ProcessId, Signal.Continue);
        _guard.Forget(_peer.ProcessId);
        _peer.Dispose();
        _memory.Dispose();
        _source.Dispose();
    }

    private CalibrationPoint MeasureAll() => new(
        Time(this, 512, static self => self._line.RoundTrip()),
        Time(this, 512, static self => self._parent = ParentId()),
        Time(this, 256, static self => self.Copy(0)),
        Time(this, 256, static self => self.Copy((int)(self.NextBlock() * CopyBytes))));

    private static double Time(Calibration self, int batch, Action<Calibration> action)
    {
        long start = Stopwatch.GetTimestamp(), count = 0;
        TimeSpan elapsed;
        do
        {
            for (var i = 0; i < batch; i++) action(self);
            count += batch;
        }
        while ((elapsed = Stopwatch.GetElapsedTime(start)) < s_turn);
        return elapsed.TotalNanoseconds / count;
    }

    // 64 targets in turn, as a guest's requests have buffers of their own.
    private void Copy(int at) => _source.At(at, CopyBytes).CopyTo(_target.AsSpan((int)(NextBlock() % 64) * CopyBytes));

    private uint NextBlock()
    {
        _random ^= _random << 13;
        _random ^= _random >> 17;
        _random ^= _random << 5;
        return _random % _blocks;
    }

    [DllImport("libc", EntryPoint = "getppid")]
    private static extern int ParentId();
}

/// <summary>One round's calibration, in nanoseconds.</summary>
internal readonly record struct CalibrationPoint(double PingPong, double SystemCall, double WarmCopy, double DiskCopy)
{
    /// <summary>The rounds of a row as yardsticks.</summary>
    internal static IReadOnlyList<Yardstick> Yardsticks(IReadOnlyList<CalibrationPoint> rounds) =>
    [
        new Yardstick(Calibration.PingPong, null, [.. rounds.Select(static point => point.PingPong)]),
        new Yardstick(Calibration.SystemCall, null, [.. rounds.Select(static point => point.SystemCall)]),
        new Yardstick(Calibration.WarmCopy, Calibration.CopyBytes, [.. rounds.Select(static point => point.WarmCopy)]),
        new Yardstick(Calibration.DiskCopy, Calibration.CopyBytes, [.. rounds.Select(static point => point.DiskCopy)]),
    ];
}
