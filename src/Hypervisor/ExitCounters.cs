using System.Runtime.InteropServices;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>Counts a partition's exits by reason and by address. Any thread; allocates only for a new address.</summary>
internal sealed class ExitCounters
{
    /// <summary>A guest may access any address, so the number of addresses counted apart is bounded.</summary>
    internal const int MaxAddresses = 4096;

    private readonly Lock _lock = new();
    private readonly long[] _byReason = new long[(int)ExitReason.Halt + 1];
    private readonly Dictionary<(ExitReason, ulong), long> _byAddress = [];
    private long _unlisted;

    /// <summary>All exits.</summary>
    internal long Total => Of(0);

    /// <summary>Exits for one reason; 0 for all.</summary>
    internal long Of(ExitReason reason)
    {
        lock (_lock) return _byReason[(int)reason];
    }

    internal void Add(in ExitRecord exit)
    {
        var address = exit.Reason == ExitReason.Hypercall ? exit.State.Rcx : exit.Address;
        lock (_lock)
        {
            _byReason[0]++;
            if (exit.Reason is < ExitReason.MmioRead or > ExitReason.Halt) return;
            _byReason[(int)exit.Reason]++;
            if (exit.Reason == ExitReason.Halt) return;
            if (_byAddress.Count < MaxAddresses || _byAddress.ContainsKey((exit.Reason, address)))
                CollectionsMarshal.GetValueRefOrAddDefault(_byAddress, (exit.Reason, address), out _)++;
            else
                _unlisted++;
        }
    }

    internal (ExitCounts Counts, IReadOnlyList<AddressCount> ByAddress, long Unlisted) Snapshot()
    {
        lock (_lock)
        {
            var counts = new ExitCounts(
                _byReason[(int)ExitReason.MmioRead],
                _byReason[(int)ExitReason.MmioWrite],
                _byReason[(int)ExitReason.Hypercall],
                _byReason[(int)ExitReason.Halt],
                _byReason[0]);
            var addresses = _byAddress.Select(a => new AddressCount(a.Key.Item1, a.Key.Item2, a.Value)).OrderByDescending(a => a.Count).ToArray();
            return (counts, addresses, _unlisted);
        }
    }
}
