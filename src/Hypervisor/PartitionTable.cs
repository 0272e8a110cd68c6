using Microsoft.Extensions.Logging;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>The partitions that live, and what is to be told about those that ended lately. Any thread.</summary>
internal sealed class PartitionTable(
    IReadOnlyList<DeviceSpec> devices, IReadOnlyList<DeviceBus> buses, TimeSpan patience, Action changed, ILogger log)
{
    internal const int MaxPartitions = 64;
    private const int MaxEnded = 16;

    private readonly Lock _lock = new();
    private readonly Dictionary<int, Partition> _living = [];
    private readonly Queue<PartitionStatistics> _ended = new();
    private int _nextId = 1;
    private int _admitting;

    /// <summary>How many live.</summary>
    internal int Count
    {
        get
        {
            lock (_lock) return _living.Count;
        }
    }

    /// <summary>Whether there ever was one.</summary>
    internal bool HadAny
    {
        get
        {
            lock (_lock) return _living.Count + _ended.Count > 0;
        }
    }

    /// <summary>Creates a partition if what is asked for makes sense.</summary>
    /// <exception cref="IOException">It does not, or cannot be had; the message is for the guest.</exception>
    internal Partition Create(in Hello hello)
    {
        if (Unfit(hello) is { } why) throw new IOException(why);
        int id;
        lock (_lock)
        {
            if (_living.Count + _admitting >= MaxPartitions) throw new IOException($"{MaxPartitions} partitions exist, which is the most; end one of them");
            id = _nextId++;
            _admitting++;
        }
        Partition? partition = null;
        try
        {
            partition = new Partition(id, hello, devices, buses, patience, log);
        }
        finally
        {
            lock (_lock)
            {
                _admitting--;
                if (partition is not null) _living.Add(id, partition);
            }
        }
        log.PartitionCreated(id, hello.MemoryBytes, (int)hello.Processors, (int)hello.ProcessId);
        changed();
        return partition;
    }

    /// <summary>The living partition of this number, if the key is its key.</summary>
    internal Partition? Find(uint id, in PartitionKey key)
    {
        lock (_lock) return id <= int.MaxValue && _living.TryGetValue((int)id, out var partition) && partition.HasKey(key) ? partition : null;
    }

    /// <summary>Takes everything back from a partition and keeps its statistics.</summary>
    internal void Remove(Partition partition)
    {
        partition.Dispose();
        lock (_lock)
        {
            _living.Remove(partition.Id);
            if (_ended.Count == MaxEnded) _ended.Dequeue();
            _ended.Enqueue(partition.Statistics());
        }
        changed();
    }

    /// <summary>A device's bus is offered again, or no longer: channels that are open end then. Every guest is told.</summary>
    internal void TellOfBus(int device, bool isOffered)
    {
        Partition[] living;
        lock (_lock) living = [.. _living.Values];
        foreach (var partition in living) partition.TellOfBus(device, isOffered);
    }

    /// <summary>Starts the end of all.</summary>
    internal void EndAll(string why)
    {
        lock (_lock)
        {
            foreach (var partition in _living.Values) partition.End(why);
        }
    }

    internal HypervisorStatistics Statistics()
    {
        PartitionStatistics[] ended;
        Partition[] living;
        lock (_lock)
        {
            ended = [.. _ended];
            living = [.. _living.Values];
        }
        return new HypervisorStatistics([.. ended, .. living.Select(p => p.Statistics())]);
    }

    private static string? Unfit(in Hello hello)
    {
        var machine = (ulong)GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (hello.MemoryBytes == 0) return "a partition needs memory; 0 bytes were asked for";
        if (hello.MemoryBytes % GuestLayout.PageBytes != 0) return $"memory is given in pages of {GuestLayout.PageBytes} bytes; {hello.MemoryBytes} is no multiple of that";
        if (hello.MemoryBytes > machine) return $"{hello.MemoryBytes} bytes of memory were asked for; this machine has {machine}, ask for less";
        return hello.Processors is 0 or > GuestLayout.MaxProcessors ? $"a partition has 1 to {GuestLayout.MaxProcessors} processors; {hello.Processors} were asked for" : null;
    }
}
