namespace VmShunt.Perf.Launch;

/// <summary>What the user asked of a launch.</summary>
internal sealed record LaunchOptions
{
    /// <summary>The user's disk, or null for one of our own.</summary>
    internal string? Disk { get; init; }

    internal bool AllowWrites { get; init; }

    internal bool Quick { get; init; }

    internal string? JsonFile { get; init; }

    internal string? ReportFile { get; init; }

    /// <summary>Where the exported core goes, or null to check it and let it go.</summary>
    internal string? DumpFile { get; init; }

    internal long MemoryBytes { get; init; } = 64 << 20;

    /// <summary>How long one measurement takes, after a warm-up of a third of it.</summary>
    internal TimeSpan MeasureTime { get; init; } = TimeSpan.FromSeconds(0.5);

    /// <summary>What VM-H is started with beside its disk and sockets.</summary>
    internal IReadOnlyList<string> HostOptions { get; init; } = [];

    /// <summary>What VM-C is started with beside its hypervisor, memory and mode.</summary>
    internal IReadOnlyList<string> GuestOptions { get; init; } = [];

    /// <summary>The folder of the three executables.</summary>
    internal string ProgramFolder { get; init; } = AppContext.BaseDirectory;

    internal bool OwnDisk => Disk is null;

    internal bool MayWrite => OwnDisk || AllowWrites;
}
