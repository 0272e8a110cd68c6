using System.Text.RegularExpressions;
using VmShunt.BlockBackend.Transition;
using VmShunt.Tests.Architecture;

namespace VmShunt.Tests.HostPartition.Block.Transition;

/// <summary>The table of docs/transition.md is the table of the code.</summary>
public sealed partial class TransitionTableTests
{
    [Fact]
    public void The_page_has_the_same_table()
    {
        var page = File.ReadAllText(Path.Combine(Sources.Root, "docs", "transition.md"));
        var rows = Row().Matches(page).Select(static row => row.Groups[1].Value).ToList();
        Assert.Equal(Enum.GetValues<PairState>().Select(RowOf), rows);
    }

    [Fact]
    public void At_most_one_path_writes_in_each_state_of_a_transition()
    {
        foreach (var state in Enum.GetValues<PairState>().Where(static state => state != PairState.Off))
        {
            var now = TransitionTable.Of(state);
            // No driver is on the ring where it has no order, and the trap path writes.
            var ringWrites = now.Ring is RingOrder.Serve or RingOrder.Watch && state is not (PairState.Emulated or PairState.Returned or PairState.Written);
            Assert.False(ringWrites && now.TrapWrites, $"{state}");
        }
    }

    /// <summary>A row: the state's name, what holds in it, and the next state for each event that changes it.</summary>
    private static string RowOf(PairState state)
    {
        var now = TransitionTable.Of(state);
        var changes = Enum.GetValues<PairEvent>().Select(what => (what, Next: TransitionTable.Next(state, what))).Where(change => change.Next != state && change.what != PairEvent.TurnOff)
            .GroupBy(static change => change.Next).Select(static group => $"{string.Join(", ", group.Select(static change => change.what))} → {TransitionTable.Of(group.Key).Name}");
        return $"{now.Name} | {(now.HasTrapDisk ? "present" : "absent")} | {(now.TrapWrites ? "yes" : "no")} | {now.Ring} | {string.Join("; ", changes)} |";
    }

    [GeneratedRegex("^\\| `?([a-z][^|]* \\| (?:present|absent) \\| .*\\|)$", RegexOptions.Multiline)]
    private static partial Regex Row();
}
