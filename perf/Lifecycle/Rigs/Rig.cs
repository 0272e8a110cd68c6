namespace VmShunt.Perf.Lifecycle.Rigs;

/// <summary>A front-end with four disks, each with its own VM-H: split and packed rings, idle and under verified load.</summary>
internal abstract class Rig(string engine) : IAsyncDisposable
{
    /// <summary>A disk that does no I/O for so long is lost.</summary>
    internal static TimeSpan LossLimit { get; } = TimeSpan.FromSeconds(30);

    /// <summary>The four disks.</summary>
    internal static IReadOnlyList<(bool IsPacked, bool IsLoaded)> Disks { get; } = [(false, false), (false, true), (true, false), (true, true)];

    /// <summary>Whether the last event lost a disk or did not finish: the next one needs another rig.</summary>
    internal bool IsDamaged { get; private set; }

    /// <summary>The <c>--engine</c> of every VM-H.</summary>
    internal string Engine => engine;

    /// <summary>The front-end's version.</summary>
    internal abstract string Version { get; }

    /// <summary>Lets an event happen to all four disks, and judges each.</summary>
    internal async Task<IReadOnlyList<CellOutcome>> RunAsync(LifecycleEvent what)
    {
        IsDamaged = true;
        var outcomes = await RunCoreAsync(what);
        IsDamaged = outcomes.Any(static outcome => outcome.Verdict is LifecycleVerdict.Lost or LifecycleVerdict.Wrong or LifecycleVerdict.CannotBeSaved);
        return outcomes;
    }

    public abstract ValueTask DisposeAsync();

    private protected abstract Task<IReadOnlyList<CellOutcome>> RunCoreAsync(LifecycleEvent what);
}
