using System.Text;
using VmShunt.Guest.Crash;

namespace VmShunt.Tests.Guest.Kernel.Crash;

public class CrashReportTests
{
    private static readonly CrashOutcome s_done = new(long.MaxValue, 64, 0, null);
    private static readonly CrashOutcome s_failed = new(0, 64, 0, "the disk \"x\" failed\n");

    // In the state of a crash: rehearsed, but not yet optimized by the JIT compiler.
    [Fact]
    public void Reporting_a_crash_allocates_nothing()
    {
        var report = new CrashReport();
        report.Rehearse();
        var bytes = 0;
        var before = GC.GetAllocatedBytesForCurrentThread();
        bytes += report.Answer("a reason", s_done, json: true).Length;
        bytes += report.Answer("a reason", s_done, json: false).Length;
        bytes += report.Answer("a reason", s_failed, json: true).Length;
        bytes += report.FailureLine("a reason", s_done).Length;
        bytes += report.FailureLine("a reason", s_failed).Length;
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.InRange(bytes, 100, 1000);
    }

    [Fact]
    public void The_report_has_the_outcome_as_JSON_as_text_and_on_standard_error()
    {
        var report = new CrashReport();
        Assert.Equal(
            "{\"command\":\"crash\",\"ok\":true,\"reason\":\"on purpose\",\"inFlight\":64,\"dump\":{\"bytes\":9223372036854775807,\"road\":\"trap\",\"allocatedBytes\":0}}\n",
            Text(report.Answer("on purpose", s_done, json: true)));
        Assert.Equal("reason: on purpose\ninFlight: 64\ndump: 9223372036854775807 bytes through the trap\n", Text(report.Answer("on purpose", s_done, json: false)));
        Assert.Equal("{\"command\":\"crash\",\"ok\":false,\"error\":\"no dump was written: the disk 'x' failed \"}\n", Text(report.Answer("on purpose", s_failed, json: true)));
        Assert.Equal("vmshunt-guest: on purpose; a dump of 9223372036854775807 bytes was written\n", Text(report.FailureLine("on purpose", s_done)));
        Assert.Equal("vmshunt-guest: on purpose; no dump was written: the disk 'x' failed ; 64 requests in flight are lost\n", Text(report.FailureLine("on purpose", s_failed)));
        Assert.Equal("vmshunt-guest: dead; no dump was written; 0 requests in flight are lost\n", Text(report.FailureLine("dead", new CrashOutcome(0, 0, 0, "dead"))));
    }

    private static string Text(ReadOnlySpan<byte> utf8) => Encoding.UTF8.GetString(utf8);
}
