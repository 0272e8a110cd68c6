using VmShunt.Trap.VmExit;

namespace VmShunt.Perf.Launch;

/// <summary>What the launcher wants to know from the hypervisor.</summary>
internal interface ITrapCounter : IDisposable
{
    /// <summary>All exits of all partitions so far.</summary>
    long Exits();

    /// <summary>What the hypervisor saw at the last crash: SHA-256 of the guest's memory, or null when none crashed.</summary>
    string? CrashMemorySha256();
}

/// <summary>The real one, over the hypervisor's own socket.</summary>
internal sealed class HypervisorTrapCounter(string socket) : ITrapCounter
{
    private readonly HypervisorObserver _observer = HypervisorObserver.Connect(socket);

    public long Exits() => _observer.Query().Partitions.Sum(static partition => partition.Exits.Total);

    public string? CrashMemorySha256() =>
        _observer.Query().Partitions.LastOrDefault(static partition => partition.Crash is not null)?.Crash!.MemorySha256;

    public void Dispose() => _observer.Dispose();
}
