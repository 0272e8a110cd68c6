using VmShunt.Guest.Mode;

namespace VmShunt.Tests.Guest.Kernel.Mode;

/// <summary>Every cell of the table of states and events.</summary>
public class ModeTableTests
{
    // One row per state. A cell is "." (no change), or action:next state, and after "/" the state if entering fails.
    // "again" leaves and enters.
    private const string Table =
        """
        state               | ChangeToEmulating | ChangeToEnlightened                   | ChangeToAlternate                   | WantEmulating | WantEnlightened             | WantAlternate           | BusLost              | Settle                    | Offer                                  | NoOffer                   | Configure                              | End
        Emulating           | .                 | enter:Enlightened/Emulating           | enter:Alternate/Emulating           | .             | to:AwaitingEnlightened      | to:AwaitingAlternate    | .                    | .                         | .                                      | .                         | .                                      | leave:Ended
        AwaitingEnlightened | to:Emulating      | enter:Enlightened/AwaitingEnlightened | enter:Alternate/AwaitingEnlightened | to:Emulating  | .                           | to:AwaitingAlternate    | .                    | .                         | enter:Enlightened/AwaitingEnlightened  | .                         | .                                      | leave:Ended
        AwaitingAlternate   | to:Emulating      | enter:Enlightened/AwaitingAlternate   | enter:Alternate/AwaitingAlternate   | to:Emulating  | to:AwaitingEnlightened      | .                       | .                    | .                         | enter:Alternate/AwaitingAlternate      | .                         | .                                      | leave:Ended
        Enlightened         | leave:Emulating   | .                                     | again:Alternate/AwaitingEnlightened | leave:Emulating | .                         | leave:AwaitingAlternate | pass:EnlightenedLost | .                         | .                                      | .                         | again:Enlightened/AwaitingEnlightened  | leave:Ended
        Alternate           | leave:Emulating   | again:Enlightened/AwaitingAlternate   | .                                   | leave:Emulating | leave:AwaitingEnlightened | .                       | pass:AlternateLost   | .                         | .                                      | .                         | again:Alternate/AwaitingAlternate      | leave:Ended
        EnlightenedLost     | leave:Emulating   | again:Enlightened/AwaitingEnlightened | again:Alternate/AwaitingEnlightened | leave:Emulating | .                         | to:AlternateLost        | .                    | leave:AwaitingEnlightened | again:Enlightened/AwaitingEnlightened  | leave:AwaitingEnlightened | leave:AwaitingEnlightened              | leave:Ended
        AlternateLost       | leave:Emulating   | again:Enlightened/AwaitingAlternate   | again:Alternate/AwaitingAlternate   | leave:Emulating | to:EnlightenedLost        | .                       | .                    | leave:AwaitingAlternate   | again:Alternate/AwaitingAlternate      | leave:AwaitingAlternate   | leave:AwaitingAlternate                | leave:Ended
        Ended               | .                 | .                                     | .                                   | .             | .                           | .                       | .                    | .                         | .                                      | .                         | .                                      | .
        """;

    public static TheoryData<string, string, string> Cells()
    {
        var rows = Table.Split('\n').Select(static row => row.Split('|', StringSplitOptions.TrimEntries)).ToArray();
        var cells = new TheoryData<string, string, string>();
        foreach (var row in rows.Skip(1))
        {
            for (var i = 1; i < row.Length; i++) cells.Add(row[0], rows[0][i], row[i]);
        }
        return cells;
    }

    [Theory]
    [MemberData(nameof(Cells))]
    public void A_cell_has_its_action_and_its_next_state(string state, string e, string cell)
    {
        var transition = ModeTable.Of(Enum.Parse<ModeState>(state), Enum.Parse<ModeEvent>(e));
        Assert.Equal(Parse(state, cell), transition);
    }

    [Fact]
    public void The_cells_tested_are_all_states_and_all_events()
    {
        var tested = Cells().Select(static cell => (object[])cell).Select(static cell => (cell[0], cell[1])).ToHashSet();
        Assert.Equal(Enum.GetValues<ModeState>().Length * Enum.GetValues<ModeEvent>().Length, tested.Count);
    }

    [Fact]
    public void Only_states_with_a_channel_react_to_its_loss()
    {
        foreach (var state in Enum.GetValues<ModeState>())
        {
            var isOpen = state is ModeState.Enlightened or ModeState.Alternate;
            Assert.Equal(isOpen ? ModeAction.PassDown : ModeAction.None, ModeTable.Of(state, ModeEvent.BusLost).Action);
        }
    }

    [Fact]
    public void A_state_with_a_channel_is_never_left_without_closing_it()
    {
        foreach (var state in (ModeState[])[ModeState.Enlightened, ModeState.Alternate, ModeState.EnlightenedLost, ModeState.AlternateLost])
        {
            foreach (var e in Enum.GetValues<ModeEvent>())
            {
                var (action, next, _) = ModeTable.Of(state, e);
                var keeps = next == state || next is ModeState.EnlightenedLost or ModeState.AlternateLost;
                Assert.True(keeps || action.HasFlag(ModeAction.Leave), $"{state} at {e}");
            }
        }
    }

    private static ModeTransition Parse(string state, string cell)
    {
        if (cell == ".") return new(ModeAction.None, Enum.Parse<ModeState>(state), Enum.Parse<ModeState>(state));
        var parts = cell.Split(':', '/');
        var action = parts[0] switch
        {
            "to" => ModeAction.None,
            "pass" => ModeAction.PassDown,
            "leave" => ModeAction.Leave,
            "enter" => ModeAction.Enter,
            _ => ModeAction.Leave | ModeAction.Enter,
        };
        return new(action, Enum.Parse<ModeState>(parts[1]), Enum.Parse<ModeState>(parts[^1]));
    }
}
