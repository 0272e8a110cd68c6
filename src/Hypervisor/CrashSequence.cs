using System.Diagnostics;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>
/// What happens between a guest's word that it has crashed and its going on to dump: no other processor runs, no ring
/// and no command of the dead guest can reach its memory any more, and the memory is hashed as an independent witness.
/// </summary>
internal sealed class CrashSequence
{
    private const int HashChunkBytes = 1 << 20;

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
    /// <exception cref="IOException">VM-H failed to reset a device.</exception>
    internal static int Run(Partition partition, ProcessorThread[] others, ulong reason, ILogger log)
    {
        var steps = new CrashSequence(partition.Id, log);
        steps.Note($"the guest crashed, reason 0x{reason:x}");
        foreach (var other in others) other.WaitUntilSuspended();
        steps.Note($"{others.Length} other processor(s) stay suspended");
        var revoked = 0;
        foreach (var offer in partition.Offers)
        {
            var status = offer.Revoke();
            if (status == HypercallStatus.NotOpen) continue;
            revoked++;
            steps.Note(status == HypercallStatus.Success ? $"bus channel of {offer.Name} revoked, VM-H closed it" : $"bus channel of {offer.Name} cut by force");
        }
        foreach (var device in partition.Devices)
        {
            device.Reset();
            steps.Note($"device {device.Name} reset");
        }
        var hash = Hash(partition.MemoryFile, partition.RamBytes);
        steps.Note($"memory hashed, sha256 {hash}");
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

    // Read from the file, not from a mapping, so that pages which the guest never touched stay holes.
    private static string Hash(SafeFileHandle memory, ulong bytes)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var chunk = new byte[HashChunkBytes];
        for (ulong at = 0; at < bytes;)
        {
            var n = RandomAccess.Read(memory, chunk.AsSpan(0, (int)Math.Min(bytes - at, HashChunkBytes)), (long)at);
            if (n == 0) throw new IOException($"the partition's memory ends at {at} of {bytes} bytes");
            hash.AppendData(chunk, 0, n);
            at += (ulong)n;
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
