using System.Diagnostics;
using Microsoft.Extensions.Logging;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>
/// What the hypervisor does between a guest's crash hypercall and its dump: it suspends all other processors, revokes the
/// bus, and moves the memory to where no ring and no command from before the crash can reach it. It does not trust VM-H to
/// release memory, and every wait for VM-H has a limit.
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

    /// <summary>Runs the sequence, on the crashing processor's thread.</summary>
    /// <returns>How many bus channels were revoked.</returns>
    /// <exception cref="IOException">The memory could not be moved.</exception>
    internal static int Run(Partition partition, ProcessorThread[] others, ulong reason, ILogger log)
    {
        var steps = new CrashSequence(partition.Id, log);
        steps.Note($"the guest crashed, reason 0x{reason:x}");
        // Makes accesses in flight fail, so that their processors can be suspended.
        partition.ShutdownDevices();
        foreach (var other in others) other.WaitUntilSuspended();
        steps.Note($"{others.Length} other processor(s) stay suspended");
        // All channels begin to close before the first wait, so the waits overlap.
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
            steps.Note(partition.RestartDevice(i) is { } why ? $"device {name} does not restart: {why}" : $"device {name} restarted");
        }
        steps.Note("the crashing processor resumes");
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
