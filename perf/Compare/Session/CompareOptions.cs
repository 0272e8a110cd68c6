using VmShunt.Perf.Launch;

namespace VmShunt.Perf.Compare.Session;

/// <summary>The options of a comparison.</summary>
internal sealed record CompareOptions
{
    /// <summary>How the comparison was run.</summary>
    internal string Program { get; init; } = LaunchOptions.ByProject;

    internal bool Quick { get; init; }

    /// <summary>Prefixes of the ids of the rows to run; empty for all.</summary>
    internal IReadOnlyList<string> Rows { get; init; } = [];

    /// <summary>An earlier result to render again; null to measure.</summary>
    internal string? Rendered { get; init; }

    internal string? JsonFile { get; init; }

    internal string? ReportFile { get; init; }

    internal string? MarkdownFile { get; init; }

    /// <summary>The folder of the three executables.</summary>
    internal string ProgramFolder { get; init; } = AppContext.BaseDirectory;

    /// <summary>The native vmshunt-host to measure beside the JIT's; null without one.</summary>
    internal string? NativeHost { get; init; }

    /// <summary>Rounds per row; each contestant is measured once per round.</summary>
    internal int Rounds => Quick ? 2 : 7;

    /// <summary>Rounds of rows that show a curve and have no target.</summary>
    internal int CurveRounds => Quick ? 1 : 3;

    /// <summary>The duration of one measurement.</summary>
    internal TimeSpan Turn => TimeSpan.FromSeconds(Quick ? 0.12 : 0.3);

    /// <summary>The duration of one measurement of many guests, which share the cores.</summary>
    internal TimeSpan ManyGuestsTurn => Turn * 10;

    /// <summary>Warm-up measurements of many guests.</summary>
    internal int ManyGuestsWarmUps => Quick ? 4 : 75;

    /// <summary>Rounds of two contestants whose difference is smaller than the noise from one second to the next.</summary>
    internal int PairRounds => Quick ? 2 : 21;

    /// <summary>The duration of one measurement in these rounds.</summary>
    internal TimeSpan PairTurn => Turn / 2;

    /// <summary>Warm-up before the first round, until tiered compilation has settled.</summary>
    internal TimeSpan WarmUp => TimeSpan.FromSeconds(Quick ? 0.3 : 0.8);

    /// <summary>Warm-up of further contestants in processes that are warm already.</summary>
    internal TimeSpan ShortWarmUp => WarmUp / 4;

    /// <summary>The size of the disk, in memory and in a file.</summary>
    internal long DiskBytes => Quick ? 32 << 20 : 128 << 20;
}
