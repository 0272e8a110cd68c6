using System.Diagnostics;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;
using VmShunt.Trap.Ahci;
using VmShunt.Trap.VmExit;

namespace VmShunt.Perf.Compare.Contestants;

/// <summary>What a virtual processor does to leave.</summary>
internal enum ExitKind
{
    /// <summary>A hypercall, which the hypervisor answers itself.</summary>
    Hypercall,

    /// <summary>A read of a register of the emulated controller, which VM-H answers.</summary>
    RegisterRead,

    /// <summary>A write of a register that ignores it.</summary>
    RegisterWrite,
}

/// <summary>VM exits of a virtual processor that this process runs.</summary>
/// <param name="session">The run.</param>
/// <param name="host">VM-H's process.</param>
/// <param name="hypervisor">The hypervisor's process.</param>
/// <param name="processor">A virtual processor of a partition of that hypervisor.</param>
/// <param name="kind">How it leaves.</param>
/// <param name="form">The form of the trap, for the report.</param>
internal sealed class ExitContestant(CompareSession session, int host, int hypervisor, VirtualProcessor processor, ExitKind kind, string? form = null)
    : Contestant(form is null ? NameOf(kind) : $"{NameOf(kind)}, {form}", Given(session, kind))
{
    private const int Batch = 64;

    /// <summary>The name of the kind.</summary>
    internal string Name => NameOf(kind);

    internal override Task<Sample> MeasureAsync(TimeSpan duration) => Task.Run(() =>
    {
        long hostBefore = ProcessorTime.Of(host), hypervisorBefore = ProcessorTime.Of(hypervisor), cpu = ProcessorTime.OfCurrentThread();
        long start = Stopwatch.GetTimestamp(), count = 0;
        TimeSpan elapsed;
        do
        {
            for (var i = 0; i < Batch; i++) Exit();
            count += Batch;
        }
        while ((elapsed = Stopwatch.GetElapsedTime(start)) < duration);
        double Each(long nanoseconds) => nanoseconds / 1000.0 / count;
        return new Sample(
            count / elapsed.TotalSeconds, null, null, null,
            Each(ProcessorTime.OfCurrentThread() - cpu), Each(ProcessorTime.Of(host) - hostBefore), Each(ProcessorTime.Of(hypervisor) - hypervisorBefore));
    });

    private void Exit()
    {
        switch (kind)
        {
            case ExitKind.RegisterRead:
                _ = processor.ReadMmio(GuestLayout.BarAddress + HbaRegister.VS, 4);
                break;
            case ExitKind.RegisterWrite:
                processor.WriteMmio(GuestLayout.BarAddress + HbaRegister.VS, 4, 0);
                break;
            default:
                _ = processor.Invoke(Trap.VmExit.Hypercall.Identify);
                break;
        }
    }

    private static string NameOf(ExitKind kind) => kind switch
    {
        ExitKind.RegisterRead => "register read",
        ExitKind.RegisterWrite => "register write",
        _ => "hypercall",
    };

    private static Inputs Given(CompareSession session, ExitKind kind) => new()
    {
        Operation = kind == ExitKind.RegisterWrite ? "exit, write" : "exit",
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
