using System.Diagnostics;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;
using VmShunt.Trap.Ahci;
using VmShunt.Trap.VmExit;

namespace VmShunt.Perf.Compare.Contestants;

/// <summary>
/// VM exits of a virtual processor that this process runs: a hypercall, which the hypervisor answers itself, or a register
/// read of the emulated controller, which VM-H answers.
/// </summary>
internal sealed class ExitContestant : Contestant
{
    internal const string Hypercall = "hypercall", Register = "register read";

    private const int Batch = 64;

    private readonly VirtualProcessor _processor;
    private readonly BootedMachine _servers;
    private readonly bool _register;

    /// <param name="session">The run.</param>
    /// <param name="servers">The machine whose VM-H and hypervisor answer.</param>
    /// <param name="processor">A virtual processor of a partition of that hypervisor.</param>
    /// <param name="register">Whether to read a register instead of making a hypercall.</param>
    internal ExitContestant(CompareSession session, BootedMachine servers, VirtualProcessor processor, bool register)
        : base(register ? Register : Hypercall, Given(session))
    {
        _servers = servers;
        _processor = processor;
        _register = register;
    }

    internal override Task<Sample> MeasureAsync(TimeSpan duration) => Task.Run(() =>
    {
        long host = ProcessorTime.Of(_servers.Host), hypervisor = ProcessorTime.Of(_servers.Hypervisor), cpu = ProcessorTime.OfCurrentThread();
        long start = Stopwatch.GetTimestamp(), count = 0;
        TimeSpan elapsed;
        do
        {
            for (var i = 0; i < Batch; i++)
            {
                if (_register) _ = _processor.ReadMmio(GuestLayout.BarAddress + HbaRegister.VS, 4);
                else _ = _processor.Invoke(Trap.VmExit.Hypercall.Identify);
            }
            count += Batch;
        }
        while ((elapsed = Stopwatch.GetElapsedTime(start)) < duration);
        double Each(long nanoseconds) => nanoseconds / 1000.0 / count;
        return new Sample(
            count / elapsed.TotalSeconds, null, null, null,
            Each(ProcessorTime.OfCurrentThread() - cpu), Each(ProcessorTime.Of(_servers.Host) - host), Each(ProcessorTime.Of(_servers.Hypervisor) - hypervisor));
    });

    private static Inputs Given(CompareSession session) => new()
    {
        Operation = "exit",
        BlockBytes = 0,
        Depth = 1,
        Medium = "none",
        Content = "nothing",
        DiskBytes = 0,
        RangeBytes = 0,
        Generator = "a virtual processor of this process",
        Seconds = session.Options.Turn.TotalSeconds,
    };
}
