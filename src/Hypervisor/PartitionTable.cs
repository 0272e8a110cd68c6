using Microsoft.Extensions.Logging;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>The running partitions, and the statistics of the last ones that stopped. Any thread.</summary>
internal sealed class PartitionTable(
    IReadOnlyList<DeviceSpec> devices, IReadOnlyList<DeviceBus> buses, TrapTerms trap, Action changed, ILogger log)
{
    internal const int MaxPartitions = 64;
    private const int MaxStopped = 16;

    private readonly Lock _lock = new();
    private readonly Dictionary<int, Partition> _running = [];
    private readonly Queue<PartitionStatistics> _stopped = new();
    private int _nextId = 1;
    private int _starting;

    /// <summary>How many run.</summary>
    internal int Count
    {
        get
        {
            lock (_lock) return _running.Count;
        }
    }

    /// <summary>Whether any partition was ever created.</summary>
    internal bool HadAny
    {
        get
        {
            lock (_lock) return _running.Count + _stopped.Count > 0;
        }
    }

    /// <summary>Creates a partition.</summary>
    /// <exception cref="IOException">The request is invalid or cannot be met; the message is sent to the guest.</exception>
    internal Partition Create(in Hello hello)
    {
        if (FindProblem(hello) is { } problem) throw new IOException(problem);
        int id;
        lock (_lock)
        {
            if (_running.Count + _starting >= MaxPartitions) throw new IOException($"the limit of {MaxPartitions} partitions is reached; stop one first");
            id = _nextId++;
            _starting++;
        }
        Partition? partition = null;
        try
        {
            partition = new Partition(id, hello, devices, buses, trap, log);
        }
        finally
        {
            lock (_lock)
            {
                _starting--;
                if (partition is not null) _running.Add(id, partition);
            }
        }
        log.PartitionCreated(id, hello.MemoryBytes, (int)hello.Processors, (int)hello.ProcessId);
        changed();
        return partition;
    }

    /// <summary>The running partition with this number and key, or null.</summary>
    internal Partition? Find(uint id, in PartitionKey key)
    {
        lock (_lock) return id <= int.MaxValue && _running.TryGetValue((int)id, out var partition) && partition.HasKey(key) ? partition : null;
    }

    /// <summary>Releases what a partition holds and keeps its statistics.</summary>
    internal void Remove(Partition partition)
    {
        partition.Dispose();
        lock (_lock)
        {
            _running.Remove(partition.Id);
            if (_stopped.Count == MaxStopped) _stopped.Dequeue();
            _stopped.Enqueue(partition.Statistics());
        }
        changed();
    }

    /// <summary>Notifies every guest that a device's bus is offered again or rescinded; a rescinded bus ends its open channels.</summary>
    internal void NotifyBusChange(int device, bool isOffered)
    {
        Partition[] running;
        lock (_lock) running = [.. _running.Values];
        foreach (var partition in running) partition.NotifyBusChange(device, isOffered);
    }

    /// <summary>Stops all partitions, without waiting.</summary>
    internal void StopAll(string why)
    {
        lock (_lock)
        {
            foreach (var partition in _running.Values) partition.Stop(why);
        }
    }

    internal HypervisorStatistics Statistics()
    {
        PartitionStatistics[] stopped;
        Partition[] running;
        lock (_lock)
        {
            stopped = [.. _stopped];
            running = [.. _running.Values];
        }
        return new HypervisorStatistics([.. stopped, .. running.Select(p => p.Statistics())]);
    }

    private static string? FindProblem(in Hello hello)
    {
        var machine = (ulong)GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (hello.MemoryBytes == 0) return "a partition needs memory, not 0 bytes";
        if (hello.MemoryBytes % GuestLayout.PageBytes != 0) return $"a partition's memory consists of pages of {GuestLayout.PageBytes} bytes; {hello.MemoryBytes} is no multiple of that";
        if (hello.MemoryBytes > machine) return $"{hello.MemoryBytes} bytes of memory were requested; this machine has {machine}, ask for less";
        return hello.Processors is 0 or > GuestLayout.MaxProcessors ? $"a partition has 1 to {GuestLayout.MaxProcessors} processors, not {hello.Processors}" : null;
    }
}
