namespace VmShunt.EndToEnd.Crash;

/// <summary>One cell of the table of crashes: the state of the shunt, the ring's condition, and the processors under load.</summary>
public sealed record CrashCell(string State, string Condition, int Processors)
{
    /// <summary>During a change between the other three.</summary>
    internal const string Changing = "changing";

    /// <summary>VM-H's thread behind the path in use hangs with requests in flight.</summary>
    internal const string Hanging = "hanging";

    private static readonly string[] s_states = ["emulating", "enlightened", "alternate", Changing];
    private static readonly string[] s_conditions = ["busy", "scribbled", "full", Hanging, "no pages", "no heap", "crashes again"];

    /// <summary>The whole table. A mode change cannot complete while a thread hangs, so that pair is left out.</summary>
    internal static IReadOnlyList<CrashCell> All { get; } =
    [
        .. from state in s_states from condition in s_conditions from processors in Enumerable.Range(1, 4)
        where state != Changing || condition != Hanging
        select new CrashCell(state, condition, processors),
    ];

    /// <summary>A few cells in which each state, each condition and each number of processors occurs.</summary>
    internal static IReadOnlyList<CrashCell> Sample(int seed)
    {
        var random = new Random(seed);
        string[] states = [.. s_states], conditions = [.. s_conditions];
        random.Shuffle(states);
        random.Shuffle(conditions);
        var first = random.Next(4);
        var sample = conditions.Select((condition, i) => new CrashCell(states[i % states.Length], condition, (first + i) % 4 + 1)).ToArray();
        return [.. sample.Select(cell => cell is { State: Changing, Condition: Hanging } ? cell with { State = "enlightened" } : cell)];
    }

    public override string ToString() => $"{State}, {Condition}, {Processors} processor(s)";
}
