namespace VmShunt.Perf.Launch.Report.Charts;

/// <summary>The style of a contestant in charts.</summary>
/// <param name="Style">Classes of the style sheet: the colour of its group, and its tint and dash within the group.</param>
/// <param name="Mark">The shape of its marks.</param>
internal sealed record Look(string Style, int Mark);

/// <summary>
/// Assigns every contestant of a report one style, used in every chart. A group (rings, trap, a peer) has a colour; members
/// of a group that share a chart differ in tint, dash and mark.
/// </summary>
internal sealed class Looks
{
    private const int Tints = 4;

    // The first match counts. Other groups get a colour of their own, in order of appearance.
    private static readonly (string Begins, string Group)[] s_groups =
    [
        ("VM-H", "ring"), ("ring", "ring"), ("shunted", "shunted"), ("alternate", "alternate"), ("trap", "trap"),
        ("qsd", "qsd"), ("qemu", "qsd"), ("fio", "fio"), ("pread", "direct"), ("direct", "direct"),
    ];

    private static readonly string[] s_others = ["other0", "other1", "other2"];

    private readonly Dictionary<string, Look> _looks = [];
    private readonly Dictionary<string, string> _others = [];

    /// <param name="charts">The contestants of each chart.</param>
    internal Looks(IEnumerable<IEnumerable<string>> charts)
    {
        string[][] charted = [.. charts.Select(static one => one.Distinct().ToArray())];
        foreach (var subject in charted.SelectMany(static one => one).Distinct())
        {
            var group = GroupOf(subject);
            var taken = charted.Where(one => one.Contains(subject)).SelectMany(static one => one).Where(other => _looks.ContainsKey(other) && GroupOf(other) == group)
                .Select(other => Tint(_looks[other])).ToHashSet();
            var tint = Enumerable.Range(0, Tints).FirstOrDefault(one => !taken.Contains(one));
            _looks.Add(subject, new Look(tint == 0 ? group : $"{group} v{tint}", tint + Shift(group)));
        }
    }

    /// <summary>The style of a contestant; for one that is in no chart, that of its group.</summary>
    internal Look Of(string subject) => _looks.TryGetValue(subject, out var look) ? look : new Look(GroupOf(subject), Shift(GroupOf(subject)));

    /// <summary>Whether it is a peer or the bare file instead of a path of VmShunt.</summary>
    internal static bool IsPeer(string subject) => Known(subject) is "qsd" or "fio" or "direct";

    private static string? Known(string subject) => s_groups.FirstOrDefault(group => subject.StartsWith(group.Begins, StringComparison.OrdinalIgnoreCase)).Group;

    private string GroupOf(string subject)
    {
        if (Known(subject) is { } known) return known;
        // The first word is the group, as in "qsd null-co".
        var word = subject.Split(' ', ',')[0];
        if (!_others.TryGetValue(word, out var group)) _others.Add(word, group = s_others[_others.Count % s_others.Length]);
        return group;
    }

    private static int Tint(Look look) => look.Style.Length > 2 && look.Style[^2] == 'v' ? look.Style[^1] - '0' : 0;

    private static int Shift(string group) => group switch
    {
        "ring" or "other2" => 0,
        "shunted" or "direct" or "fio" => 1,
        "qsd" or "alternate" or "other0" => 2,
        _ => 3,
    };
}
