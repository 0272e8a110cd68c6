using System.Diagnostics;
using System.Runtime.InteropServices;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Ends;
using VmShunt.Perf.Launch;
using VmShunt.Ring.Memory;

namespace VmShunt.Perf.Compare.Session;

/// <summary>
/// The cost of basic operations on this machine: a cache-line round trip between two processes, a system call, a copy of
/// 4 KiB. Measured in every round, because it changes from minute to minute where cores are shared.
/// </summary>
internal sealed class Calibration : IDisposable
{
    internal const string PingPong = "cache-line ping-pong", SystemCall = "system call", WarmCopy = "memcpy 4 KiB, warm", DiskCopy = "memcpy 4 KiB of the disk's range";
    internal const int CopyBytes = 4096;

    private static readonly TimeSpan s_duration = TimeSpan.FromMilliseconds(12);

    private readonly OrphanGuard _guard;
    private readonly RingMemory _memory = RingMemory.Create(dataBytes: 4096);
    private readonly ProcessPeer _peer;
    private readonly CacheLine _line;
    private readonly byte[] _target = GC.AllocateArray<byte>(64 * CopyBytes, pinned: true);

    // The same kind of memory as VM-H's memory disk.
    private readonly PrivateMemory _source;
    private readonly uint _blocks;
    private uint _random = 20071;
    private int _parent;

    /// <param name="diskBytes">The size of the memory that blocks are copied from at random.</param>
    /// <param name="guard">Kills the second process if this one is killed.</param>
    internal Calibration(long diskBytes, OrphanGuard guard)
    {
        _guard = guard;
        _source = new PrivateMemory(diskBytes);
        new Random(1).NextBytes(_source.At(0, (int)diskBytes));
        _blocks = (uint)(diskBytes / CopyBytes);
        _peer = new ProcessPeer(PeerWork.CacheLine, _memory);
        guard.Watch(_peer.ProcessId);
        _line = new CacheLine(_memory.SharedLine, _peer.Exited);
        // Until tiered compilation has settled in both processes.
        var start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < TimeSpan.FromMilliseconds(400)) _ = MeasureAll();
        _ = Signal.Send(_peer.ProcessId, Signal.Stop);
    }

    /// <summary>Measures every operation once. The second process is stopped (SIGSTOP) between calls.</summary>
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
        while ((elapsed = Stopwatch.GetElapsedTime(start)) < s_duration);
        return elapsed.TotalNanoseconds / count;
    }

    // 64 targets, because a guest's requests have buffers of their own.
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
    /// <summary>The rounds of a row, one yardstick per operation.</summary>
    internal static IReadOnlyList<Yardstick> Yardsticks(IReadOnlyList<CalibrationPoint> rounds) =>
    [
        new Yardstick(Calibration.PingPong, null, [.. rounds.Select(static point => point.PingPong)]),
        new Yardstick(Calibration.SystemCall, null, [.. rounds.Select(static point => point.SystemCall)]),
        new Yardstick(Calibration.WarmCopy, Calibration.CopyBytes, [.. rounds.Select(static point => point.WarmCopy)]),
        new Yardstick(Calibration.DiskCopy, Calibration.CopyBytes, [.. rounds.Select(static point => point.DiskCopy)]),
    ];
}
