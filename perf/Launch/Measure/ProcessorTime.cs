using System.Runtime.InteropServices;

namespace VmShunt.Perf.Measure;

/// <summary>
/// The CPU time of a process or thread in nanoseconds, from its CPU-time clock (<c>clock_getcpuclockid(3)</c>), which is
/// finer than the 10 ms ticks of <c>/proc</c>. Includes threads that have exited.
/// </summary>
internal static class ProcessorTime
{
    private const int CLOCK_THREAD_CPUTIME_ID = 3;

    /// <returns>Nanoseconds; 0 if the process does not exist.</returns>
    internal static long Of(int processId) => ClockOfProcess(processId, out var clock) == 0 ? Read(clock) : 0;

    /// <summary>The CPU time of the calling thread.</summary>
    internal static long OfCurrentThread() => Read(CLOCK_THREAD_CPUTIME_ID);

    private static long Read(int clock) => Time(clock, out var time) == 0 ? time.Seconds * 1_000_000_000 + time.Nanoseconds : 0;

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }

    [DllImport("libc", EntryPoint = "clock_getcpuclockid")]
    private static extern int ClockOfProcess(int processId, out int clock);

    [DllImport("libc", EntryPoint = "clock_gettime")]
    private static extern int Time(int clock, out TimeSpec time);
}
