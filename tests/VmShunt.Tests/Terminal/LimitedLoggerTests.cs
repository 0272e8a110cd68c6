using Microsoft.Extensions.Logging;
using VmShunt.Terminal;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Terminal;

public sealed class LimitedLoggerTests
{
    private readonly LogLines _lines = new();
    private readonly ManualClock _clock = new();

    [Fact]
    public void An_event_is_logged_at_once_and_then_once_a_second_with_what_was_left_out()
    {
        var log = new LimitedLogger(_lines, _clock);
        for (var i = 0; i < LimitedLogger.Burst + 40; i++) Log(log, 7, $"refused {i}");
        Assert.Equal(LimitedLogger.Burst, _lines.All.Length);
        // Another event has its own budget.
        Log(log, 8, "disk failed");
        Assert.Equal("disk failed", _lines.All[^1]);
        _clock.Advance(TimeSpan.FromSeconds(1));
        for (var i = 0; i < 3; i++) Log(log, 7, $"refused again {i}");
        Assert.Equal(["40 lines of event 7 were left out: they came faster than one a second", "refused again 0"], _lines.All[^2..]);
        log.ReportLeftOut();
        log.ReportLeftOut();
        Assert.Equal("2 lines of event 7 were left out: they came faster than one a second", _lines.All[^1]);
        Assert.Equal(LimitedLogger.Burst + 4, _lines.All.Length);
    }

    [Fact]
    public void After_a_quiet_time_the_whole_budget_is_there_again()
    {
        var log = new LimitedLogger(_lines, _clock);
        for (var round = 1; round <= 3; round++)
        {
            for (var i = 0; i < LimitedLogger.Burst; i++) Log(log, 7, "refused");
            Assert.Equal(round * LimitedLogger.Burst, _lines.All.Length);
            _clock.Advance(TimeSpan.FromHours(1));
        }
    }

    private static void Log(LimitedLogger log, int id, string line) => log.Log(LogLevel.Warning, new EventId(id), line, null, static (text, _) => text);
}
