namespace VmShunt.Perf.Report;

/// <summary>How a contestant looks.</summary>
/// <param name="Style">Classes of the page's style sheet: the colour of its kind, and which of its kind it is (tint and dash).</param>
/// <param name="Mark">The shape of its marks.</param>
internal sealed record Look(string Style, int Mark);

/// <summary>
/// The looks of all contestants of a report: one each, in every picture. A kind (our rings, the trap, a peer) has a colour;
/// those of one kind that share a picture differ in tint, dash and mark.
/// </summary>
internal sealed class Looks
{
    private const int Tints = 4;

    // The first word that fits. Kinds that are not here get a colour of their own, in the order in which they come.
    private static readonly (string Begins, string Kind)[] s_kinds =
    [
        ("VM-H", "ring"), ("ring", "ring"), ("shunted", "shunted"), ("alternate", "alternate"), ("trap", "trap"),
        ("qsd", "qsd"), ("qemu", "qsd"), ("fio", "fio"), ("pread", "direct"), ("direct", "direct"),
    ];

    private static readonly string[] s_others = ["other0", "other1", "other2"];

    private readonly Dictionary<string, Look> _looks = [];
    private readonly Dictionary<string, string> _others = [];

    /// <param name="pictures">Who appears together with whom.</param>
    internal Looks(IEnumerable<IEnumerable<string>> pictures)
    {
        string[][] together = [.. pictures.Select(static one => one.Distinct().ToArray())];
        foreach (var subject in together.SelectMany(static one => one).Distinct())
        {
            var kind = KindOf(subject);
            var taken = together.Where(one => one.Contains(subject)).SelectMany(static one => one).Where(other => _looks.ContainsKey(other) && KindOf(other) == kind)
                .Select(other => Tint(_looks[other])).ToHashSet();
            var tint = Enumerable.Range(0, Tints).FirstOrDefault(one => !taken.Contains(one));
            _looks.Add(subject, new Look(tint == 0 ? kind : $"{kind} v{tint}", tint + Shift(kind)));
        }
    }

    /// <summary>A contestant's; of one that is in no picture, that of its kind.</summary>
    internal Look Of(string subject) => _looks.TryGetValue(subject, out var look) ? look : new Look(KindOf(subject), Shift(KindOf(subject)));

    /// <summary>Whether it is not ours: a peer, or the bare file.</summary>
    internal static bool IsPeer(string subject) => Known(subject) is "qsd" or "fio" or "direct";

    private static string? Known(string subject) => s_kinds.FirstOrDefault(kind => subject.StartsWith(kind.Begins, StringComparison.OrdinalIgnoreCase)).Kind;

    private string KindOf(string subject)
    {
        if (Known(subject) is { } known) return known;
        // Its first word is its kind, as with "qsd null-co".
        var word = subject.Split(' ', ',')[0];
        if (!_others.TryGetValue(word, out var kind)) _others.Add(word, kind = s_others[_others.Count % s_others.Length]);
        return kind;
    }

    private static int Tint(Look look) => look.Style.Length > 2 && look.Style[^2] == 'v' ? look.Style[^1] - '0' : 0;

    private static int Shift(string kind) => kind switch
    {
        "ring" or "other2" => 0,
        "shunted" or "direct" or "fio" => 1,
        "qsd" or "alternate" or "other0" => 2,
        _ => 3,
    };
}
