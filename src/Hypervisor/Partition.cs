using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>
/// One virtual machine: its memory, devices, bus channels and connected processors. It runs as long as the connection that
/// created it, which is processor 0.
/// </summary>
internal sealed class Partition : IDisposable
{
    private readonly ILogger _log;
    private readonly Lock _lock = new();
    private readonly ProcessorThread?[] _processors;
    private readonly ManualResetEventSlim _othersDetached = new(initialState: true);
    private readonly int _processId;
    private readonly IReadOnlyList<DeviceSpec> _specs;
    private readonly TrapTerms _trap;
    private PartitionKey _key;
    private ProcessorThread? _crashing;
    private CrashStatistics? _crash;
    private string? _stopReason;
    private bool _disposed;

    /// <summary>Creates the memory and connects the devices.</summary>
    /// <exception cref="IOException">There is not enough memory, or VM-H fails.</exception>
    internal Partition(int id, in Hello hello, IReadOnlyList<DeviceSpec> devices, IReadOnlyList<DeviceBus> buses, TrapTerms trap, ILogger log)
    {
        Id = id;
        _log = log;
        _specs = devices;
        _trap = trap;
        _processId = (int)hello.ProcessId;
        _processors = new ProcessorThread?[hello.Processors];
        RamBytes = hello.MemoryBytes;
        RandomNumberGenerator.Fill(_key);
        MemoryFile = SharedMemoryFile.Create($"vmshunt-partition-{id}", (long)RamBytes);
        ReserveFile = SharedMemoryFile.Create($"vmshunt-reserve-{id}", GuestLayout.CrashReserveBytes);
        Snapshot = new MemorySnapshot(id, RamBytes);
        try
        {
            Devices = Connect(MemoryOfDevices(MemoryFile, writable: true));
        }
        catch
        {
            BusInterrupt.Dispose();
            DisposeMemory();
            throw;
        }
        Offers = [.. devices.Zip(buses, (d, bus) => new BusOffer(id, d, bus, trap.ResponseTimeout, log))];
        Router = new TrapRouter(Devices);
    }

    internal int Id { get; }

    internal ulong RamBytes { get; }

    /// <summary>The RAM in order of addresses, which a bus channel shares.</summary>
    internal SafeFileHandle MemoryFile { get; }

    /// <summary>The crash reserve: the emulated devices access it, a bus channel never does.</summary>
    internal SafeFileHandle ReserveFile { get; }

    /// <summary>Where the RAM is moved at a crash.</summary>
    internal MemorySnapshot Snapshot { get; }

    /// <summary>The emulated devices. A crash replaces each element.</summary>
    internal AssignedDevice[] Devices { get; }

    internal BusOffer[] Offers { get; }

    /// <summary>The bus interrupt: an offer was made or rescinded; the guest then queries which.</summary>
    internal EventFd BusInterrupt { get; } = EventFd.Create();

    internal TrapRouter Router { get; }

    internal ExitCounters Exits { get; } = new();

    /// <summary>The description of the partition that its guest gets.</summary>
    internal Welcome Welcome => new()
    {
        PartitionId = (uint)Id,
        DeviceCount = (uint)Devices.Length,
        Key = _key,
        RamBytes = RamBytes,
        LowBytes = GuestLayout.Parts(RamBytes)[0].Size,
        HighAddress = GuestLayout.HighBase,
        CrashReserveAddress = GuestLayout.CrashReserveAddress,
        CrashReserveBytes = GuestLayout.CrashReserveBytes,
        EcamAddress = GuestLayout.EcamAddress,
    };

    /// <summary>Why it stops, or null while it runs.</summary>
    internal string? StopReason
    {
        get
        {
            lock (_lock) return _stopReason;
        }
    }

    internal bool HasKey(in PartitionKey key) => CryptographicOperations.FixedTimeEquals(key, _key);

    /// <summary>Attaches a processor.</summary>
    /// <returns>Why it is refused, or null.</returns>
    internal string? TryAttach(ProcessorThread processor)
    {
        lock (_lock)
        {
            if (_stopReason is not null) return $"partition {Id} is stopping";
            if ((uint)processor.Index >= (uint)_processors.Length) return $"partition {Id} has processors 0 to {_processors.Length - 1}, not {processor.Index}";
            if (_processors[processor.Index] is not null) return $"processor {processor.Index} of partition {Id} is connected already";
            _processors[processor.Index] = processor;
            if (processor.Index != 0) _othersDetached.Reset();
            return null;
        }
    }

    internal void Detach(ProcessorThread processor)
    {
        lock (_lock)
        {
            _processors[processor.Index] = null;
            if (_processors.AsSpan(1).IndexOfAnyExcept((ProcessorThread?)null) < 0) _othersDetached.Set();
        }
    }

    /// <summary>Whether a processor may run. After a crash only the processor that reported it may.</summary>
    internal bool MayRun(ProcessorThread processor)
    {
        lock (_lock) return _crashing is null || _crashing == processor;
    }

    /// <summary>Starts a crash: from now on only this processor may run.</summary>
    /// <param name="processor">The processor that reports the crash.</param>
    /// <param name="others">The other processors, which may still be in an exit.</param>
    /// <returns>False when another processor reported first, or the crash was already handled.</returns>
    internal bool TryCrash(ProcessorThread processor, out ProcessorThread[] others)
    {
        lock (_lock)
        {
            others = [.. _processors.OfType<ProcessorThread>().Where(p => p != processor)];
            if (_crash is not null || (_crashing is not null && _crashing != processor)) return false;
            _crashing = processor;
            return true;
        }
    }

    /// <summary>Whether it has crashed. The bus stays closed then.</summary>
    internal bool HasCrashed
    {
        get
        {
            lock (_lock) return _crashing is not null;
        }
    }

    /// <summary>Notifies the guest that a device's bus is offered again or rescinded.</summary>
    internal void NotifyBusChange(int device, bool isOffered)
    {
        if (!isOffered) Offers[device].Rescind();
        lock (_lock)
        {
            if (!_disposed) BusInterrupt.Signal();
        }
    }

    /// <summary>At a crash: replaces a device by a new one that may read the snapshot and write the crash reserve only.</summary>
    /// <returns>Why VM-H does not serve it, which accesses to it also report; or null.</returns>
    internal string? RestartDevice(int index)
    {
        var old = Devices[index];
        try
        {
            var memory = MemoryOfDevices(Snapshot.ForReading, writable: false);
            var fresh = new AssignedDevice(_specs[index], index, _trap, memory);
            lock (_lock)
            {
                // Processors in a halt load it without the lock.
                Ordered.Store(ref Devices[index], fresh);
                if (_stopReason is not null) fresh.Shutdown();
            }
        }
        catch (IOException e)
        {
            old.MarkLost(e.Message);
            return e.Message;
        }
        old.Dispose();
        return null;
    }

    internal void Record(CrashStatistics crash)
    {
        lock (_lock) _crash = crash;
    }

    /// <summary>Stops it: cuts all processors and device accesses off. The first reason is kept.</summary>
    internal void Stop(string why)
    {
        lock (_lock)
        {
            _stopReason ??= why;
            foreach (var processor in _processors) processor?.Shutdown();
            ShutdownDevices();
        }
    }

    /// <summary>Makes every access to the current devices fail, also those in flight.</summary>
    internal void ShutdownDevices()
    {
        foreach (var device in Devices) device.Shutdown();
    }

    internal PartitionStatistics Statistics()
    {
        var (counts, byAddress, unlisted) = Exits.Snapshot();
        var channels = Offers.Index().Where(o => o.Item.Exists).Select(o => new ChannelStatistics(o.Index, o.Item.IsOpen)).ToArray();
        lock (_lock)
        {
            return new PartitionStatistics(
                Id, _processId, RamBytes, _processors.Length, _stopReason is null, counts, byAddress, unlisted, Router.Unclaimed, Devices.Sum(device => device.Bytes), channels, _crash);
        }
    }

    /// <summary>
    /// Releases everything, after <see cref="Stop"/>: waits for the further processors to detach, revokes the bus channels,
    /// disconnects the devices and closes the memory.
    /// </summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed) return;
            _disposed = true;
        }
        _othersDetached.Wait();
        foreach (var offer in Offers) offer.Dispose();
        foreach (var device in Devices) device.Dispose();
        BusInterrupt.Dispose();
        DisposeMemory();
        _log.PartitionEnded(Id, StopReason ?? "the hypervisor exits", Exits.Total);
    }

    private DeviceMemory[] MemoryOfDevices(SafeFileHandle ram, bool writable) =>
    [
        .. GuestLayout.Parts(RamBytes).Select(part => new DeviceMemory(part, ram, writable)),
        new DeviceMemory(new MemoryPart(GuestLayout.CrashReserveAddress, GuestLayout.CrashReserveBytes, 0), ReserveFile, Writable: true),
    ];

    private AssignedDevice[] Connect(DeviceMemory[] memory)
    {
        var connected = new List<AssignedDevice>();
        try
        {
            foreach (var spec in _specs) connected.Add(new AssignedDevice(spec, connected.Count, _trap, memory));
            return [.. connected];
        }
        catch
        {
            foreach (var device in connected) device.Dispose();
            throw;
        }
    }

    private void DisposeMemory()
    {
        MemoryFile.Dispose();
        ReserveFile.Dispose();
        Snapshot.Dispose();
    }
}
