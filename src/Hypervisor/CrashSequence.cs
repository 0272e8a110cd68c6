using System.Diagnostics;
using Microsoft.Extensions.Logging;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>
/// What happens between a guest's word that it has crashed and its going on to dump: no other processor runs, the bus
/// ends, and the memory goes where no ring and no command of the dead guest can reach it. Nothing here trusts VM-H to let
/// go, and nothing waits for it without limit.
/// </summary>
internal sealed class CrashSequence
{
    private readonly int _partition;
    private readonly ILogger _log;
    private readonly List<CrashEvent> _events = [];

    private CrashSequence(int partition, ILogger log)
    {
        _partition = partition;
        _log = log;
    }

    /// <summary>Runs it on the crashing processor's thread.</summary>
    /// <returns>How many bus channels were revoked.</returns>
    /// <exception cref="IOException">The memory could not be moved.</exception>
    internal static int Run(Partition partition, ProcessorThread[] others, ulong reason, ILogger log)
    {
        var steps = new CrashSequence(partition.Id, log);
        steps.Note($"the guest crashed, reason 0x{reason:x}");
        // Whatever an access of before waits for, it ends here.
        partition.ShutdownDevices();
        foreach (var other in others) other.WaitUntilSuspended();
        steps.Note($"{others.Length} other processor(s) stay suspended");
        // All of VM-H hears of it before any is waited for.
        foreach (var offer in partition.Offers) offer.BeginRevoke();
        var revoked = 0;
        foreach (var offer in partition.Offers)
        {
            var status = offer.Revoke();
            if (status == HypercallStatus.NotOpen) continue;
            revoked++;
            steps.Note(status == HypercallStatus.Success ? $"bus channel of {offer.Name} revoked, VM-H closed it" : $"bus channel of {offer.Name} cut by force");
        }
        var hash = partition.Snapshot.Take(partition.MemoryFile);
        steps.Note($"memory hashed and sealed, sha256 {hash}");
        for (var i = 0; i < partition.Devices.Length; i++)
        {
            var name = partition.Devices[i].Name;
            steps.Note(partition.RestartDevice(i) is { } why ? $"device {name} does not start anew: {why}" : $"device {name} started anew");
        }
        steps.Note("the crashing processor goes on");
        partition.Record(new CrashStatistics(reason, hash, partition.RamBytes, revoked, steps._events));
        return revoked;
    }

    private void Note(string what)
    {
        var nanoseconds = (long)(Stopwatch.GetTimestamp() * (1e9 / Stopwatch.Frequency));
        _events.Add(new CrashEvent(_events.Count + 1, what, nanoseconds));
        _log.CrashStep(_partition, _events.Count, what);
    }
}
