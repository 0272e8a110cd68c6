namespace VmShunt.Perf.Launch;

/// <summary>The options of a launch.</summary>
internal sealed record LaunchOptions
{
    /// <summary>How the launcher is run from the repository.</summary>
    internal const string ByProject = "dotnet run -c Release --project perf --";

    /// <summary>How the launcher was run.</summary>
    internal string Program { get; init; } = ByProject;

    /// <summary>The user's disk; null for a disk made for this launch.</summary>
    internal string? Disk { get; init; }

    internal bool AllowWrites { get; init; }

    internal bool Quick { get; init; }

    internal string? JsonFile { get; init; }

    internal string? ReportFile { get; init; }

    /// <summary>Where to keep the exported core; null to delete it after the check.</summary>
    internal string? DumpFile { get; init; }

    internal long MemoryBytes { get; init; } = 64 << 20;

    /// <summary>The duration of one measurement. A warm-up of a third of it comes first.</summary>
    internal TimeSpan MeasureTime { get; init; } = TimeSpan.FromSeconds(0.5);

    /// <summary>Further options of vmshunt-host.</summary>
    internal IReadOnlyList<string> HostOptions { get; init; } = [];

    /// <summary>What VM-H gets of a trapped access: the value of vmshunt-hypervisor's <c>--trap-state</c>.</summary>
    internal string TrapState { get; init; } = DefaultTrapState;

    internal const string DefaultTrapState = "access";

    /// <summary>Further options of vmshunt-hypervisor.</summary>
    internal IReadOnlyList<string> HypervisorOptions => TrapState == DefaultTrapState ? [] : ["--trap-state", TrapState];

    /// <summary>Further options of vmshunt-guest.</summary>
    internal IReadOnlyList<string> GuestOptions { get; init; } = [];

    /// <summary>The folder of the three executables.</summary>
    internal string ProgramFolder { get; init; } = AppContext.BaseDirectory;

    internal bool OwnDisk => Disk is null;

    internal bool MayWrite => OwnDisk || AllowWrites;

    /// <summary>The command line that repeats this launch; files that it writes are left out.</summary>
    internal string Command => string.Join(' ', new[]
    {
        $"{Program} launch",
        Disk is null ? null : $"--disk {Disk}",
        AllowWrites ? "--allow-writes" : null,
        Quick ? "--quick" : null,
        TrapState == DefaultTrapState ? null : $"--trap-state {TrapState}",
        MemoryBytes == new LaunchOptions().MemoryBytes ? null : FormattableString.Invariant($"--memory {MemoryBytes}"),
    }.Where(static part => part is not null));
}
