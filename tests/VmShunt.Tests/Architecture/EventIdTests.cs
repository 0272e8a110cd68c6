using System.Text.RegularExpressions;

namespace VmShunt.Tests.Architecture;

/// <summary>A log line is known by its event id, so no two have the same.</summary>
public partial class EventIdTests
{
    [Theory]
    [InlineData("src/HostPartition", 20)]
    [InlineData("src/Hypervisor", 5)]
    public void Every_event_id_of_a_process_is_used_once(string process, int atLeast)
    {
        var ids = Sources.Under(process).SelectMany(static file => EventId().Matches(file.Code)).Select(static match => match.Groups[1].Value).ToList();
        Assert.Equal([], ids.GroupBy(static id => id).Where(static group => group.Count() > 1).Select(static group => group.Key));
        Assert.InRange(ids.Count, atLeast, int.MaxValue);
    }

    [GeneratedRegex(@"\[LoggerMessage\((?:EventId = )?(\d+)")]
    private static partial Regex EventId();
}
