using VmShunt.Trap.Ahci;
using VmShunt.Trap.VmExit;

namespace VmShunt.Perf.Launch;

/// <summary>The hypervisor's counters, as far as the launcher needs them.</summary>
internal interface ITrapCounter : IDisposable
{
    /// <summary>VM exits of all partitions since the hypervisor started.</summary>
    long Exits();

    /// <summary>The SHA-256 of the guest's memory that the hypervisor took at the last crash; null without a crash.</summary>
    string? CrashMemorySha256();

    /// <summary>Commands that guests have issued to emulated controllers (writes to PxCI) since the hypervisor started.</summary>
    long IssuedCommands();

    /// <summary>Whether the last guest that crashed has a bus channel.</summary>
    bool HasChannelAfterCrash();
}

/// <summary>Asks the hypervisor on its socket.</summary>
internal sealed class HypervisorTrapCounter(string socket) : ITrapCounter
{
    private readonly HypervisorObserver _observer = HypervisorObserver.Connect(socket);

    public long Exits() => _observer.Query().Partitions.Sum(static partition => partition.Exits.Total);

    public string? CrashMemorySha256() =>
        _observer.Query().Partitions.LastOrDefault(static partition => partition.Crash is not null)?.Crash!.MemorySha256;

    public long IssuedCommands() => IssuedCommands(_observer.Query());

    public bool HasChannelAfterCrash() =>
        _observer.Query().Partitions.Last(static partition => partition.Crash is not null).Channels.Any(static channel => channel.Open);

    public void Dispose() => _observer.Dispose();

    internal static long IssuedCommands(HypervisorStatistics statistics) =>
        statistics.Partitions.Sum(static partition => partition.ByAddress.Where(IsIssue).Sum(static at => at.Count));

    private static bool IsIssue(AddressCount at) =>
        at.Reason == ExitReason.MmioWrite && at.Address >= GuestLayout.BarAddress
        && (at.Address - GuestLayout.BarAddress) % GuestLayout.BarStride == (ulong)HbaRegister.OfPort(0, PortRegister.PxCI);
}
