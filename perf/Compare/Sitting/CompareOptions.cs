namespace VmShunt.Perf.Compare.Sitting;

/// <summary>What the user asked of a comparison.</summary>
internal sealed record CompareOptions
{
    internal bool Quick { get; init; }

    /// <summary>Parts of the ids of rows to run; empty for all.</summary>
    internal IReadOnlyList<string> Rows { get; init; } = [];

    /// <summary>A result that is only drawn again; null to measure.</summary>
    internal string? Drawn { get; init; }

    internal string? JsonFile { get; init; }

    internal string? ReportFile { get; init; }

    internal string? MarkdownFile { get; init; }

    /// <summary>The folder of the three executables.</summary>
    internal string ProgramFolder { get; init; } = AppContext.BaseDirectory;

    /// <summary>Turns that each contestant gets.</summary>
    internal int Rounds => Quick ? 2 : 7;

    /// <summary>The same for rows that show a curve instead of judging.</summary>
    internal int CurveRounds => Quick ? 1 : 3;

    /// <summary>How long one turn takes.</summary>
    internal TimeSpan Turn => TimeSpan.FromSeconds(Quick ? 0.12 : 0.3);

    /// <summary>The same where many processes share the cores: each of them has to have some time of its own.</summary>
    internal TimeSpan CrowdTurn => Turn * 10;

    /// <summary>Turns that such processes have had before the first that counts.</summary>
    internal int CrowdWarmUps => Quick ? 4 : 75;

    /// <summary>Turns of two that are about the same, and differ by less than the machine does from one second to the next.</summary>
    internal int PairRounds => Quick ? 2 : 21;

    /// <summary>How long such a turn takes.</summary>
    internal TimeSpan PairTurn => Turn / 2;

    /// <summary>Before the first turn: until the JIT has compiled what runs for good.</summary>
    internal TimeSpan WarmUp => TimeSpan.FromSeconds(Quick ? 0.3 : 0.8);

    /// <summary>The same for rows whose contestants share processes that are warm already.</summary>
    internal TimeSpan ShortWarmUp => WarmUp / 4;

    /// <summary>The disk that is read, in memory and in a file.</summary>
    internal long DiskBytes => Quick ? 32 << 20 : 128 << 20;
}
