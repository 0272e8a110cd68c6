using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>
/// One virtual machine: its memory, its devices, its bus channels and the processors that are connected. It lives as
/// long as the connection that created it, which is processor 0.
/// </summary>
internal sealed class Partition : IDisposable
{
    private readonly ILogger _log;
    private readonly Lock _lock = new();
    private readonly ProcessorThread?[] _processors;
    private readonly ManualResetEventSlim _furtherGone = new(initialState: true);
    private readonly int _processId;
    private readonly IReadOnlyList<DeviceSpec> _specs;
    private readonly TimeSpan _patience;
    private PartitionKey _key;
    private ProcessorThread? _crashing;
    private CrashStatistics? _crash;
    private string? _ending;
    private bool _disposed;

    /// <summary>Creates the memory and connects the devices.</summary>
    /// <exception cref="IOException">There is no memory for it, or VM-H fails.</exception>
    internal Partition(int id, in Hello hello, IReadOnlyList<DeviceSpec> devices, IReadOnlyList<DeviceBus> buses, TimeSpan patience, ILogger log)
    {
        Id = id;
        _log = log;
        _specs = devices;
        _patience = patience;
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
        Offers = [.. devices.Zip(buses, (d, bus) => new BusOffer(id, d, bus, patience, log))];
        Router = new TrapRouter(Devices);
    }

    internal int Id { get; }

    internal ulong RamBytes { get; }

    /// <summary>The RAM in order of addresses: what a bus shares.</summary>
    internal SafeFileHandle MemoryFile { get; }

    /// <summary>What the crash path owns; the emulated devices reach it, a bus never does.</summary>
    internal SafeFileHandle ReserveFile { get; }

    /// <summary>Where the RAM goes at a crash.</summary>
    internal MemorySnapshot Snapshot { get; }

    /// <summary>The emulated devices; their places are filled anew at a crash, when one processor runs.</summary>
    internal AssignedDevice[] Devices { get; }

    internal BusOffer[] Offers { get; }

    /// <summary>Signalled when offers of a bus have come or gone: an interrupt, after which the guest asks.</summary>
    internal EventFd BusInterrupt { get; } = EventFd.Create();

    internal TrapRouter Router { get; }

    internal ExitCounters Exits { get; } = new();

    /// <summary>What a guest is told about its partition.</summary>
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

    /// <summary>Why it ends, or null while it lives.</summary>
    internal string? Ending
    {
        get
        {
            lock (_lock) return _ending;
        }
    }

    internal bool HasKey(in PartitionKey key) => CryptographicOperations.FixedTimeEquals(key, _key);

    /// <summary>Takes a processor in.</summary>
    /// <returns>Why not, or null.</returns>
    internal string? TryAttach(ProcessorThread processor)
    {
        lock (_lock)
        {
            if (_ending is not null) return $"partition {Id} is ending";
            if ((uint)processor.Index >= (uint)_processors.Length) return $"partition {Id} has processors 0 to {_processors.Length - 1}, not {processor.Index}";
            if (_processors[processor.Index] is not null) return $"processor {processor.Index} of partition {Id} is connected already";
            _processors[processor.Index] = processor;
            if (processor.Index != 0) _furtherGone.Reset();
            return null;
        }
    }

    internal void Detach(ProcessorThread processor)
    {
        lock (_lock)
        {
            _processors[processor.Index] = null;
            if (_processors.AsSpan(1).IndexOfAnyExcept((ProcessorThread?)null) < 0) _furtherGone.Set();
        }
    }

    /// <summary>Whether a processor may run: always, until the partition crashes; then only the one that said so.</summary>
    internal bool MayRun(ProcessorThread processor)
    {
        lock (_lock) return _crashing is null || _crashing == processor;
    }

    /// <summary>Makes a processor the only one that runs.</summary>
    /// <param name="processor">The one that says so.</param>
    /// <param name="others">The others, which may still be inside an exit.</param>
    /// <returns>False when another one was faster, or the crash has been dealt with before.</returns>
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

    /// <summary>Whether it has crashed; the bus stays closed then.</summary>
    internal bool HasCrashed
    {
        get
        {
            lock (_lock) return _crashing is not null;
        }
    }

    /// <summary>A device's bus is offered again, or no longer.</summary>
    internal void TellOfBus(int device, bool isOffered)
    {
        if (!isOffered) Offers[device].Rescind();
        lock (_lock)
        {
            if (!_disposed) BusInterrupt.Signal();
        }
    }

    /// <summary>At a crash: has a new device take a place, which reaches the snapshot, for reading, and the crash reserve.</summary>
    /// <returns>Why VM-H does not serve it, which accesses to it will be told too; or null.</returns>
    internal string? RestartDevice(int index)
    {
        var old = Devices[index];
        try
        {
            var memory = MemoryOfDevices(Snapshot.ForReading, writable: false);
            var fresh = new AssignedDevice(_specs[index], index, _patience, memory);
            lock (_lock)
            {
                Devices[index] = fresh;
                if (_ending is not null) fresh.Shutdown();
            }
        }
        catch (IOException e)
        {
            old.GiveUp(e.Message);
            return e.Message;
        }
        old.Dispose();
        return null;
    }

    internal void Record(CrashStatistics crash)
    {
        lock (_lock) _crash = crash;
    }

    /// <summary>Starts the end: no processor and no device access goes on. The first reason counts.</summary>
    internal void End(string why)
    {
        lock (_lock)
        {
            _ending ??= why;
            foreach (var processor in _processors) processor?.Shutdown();
            ShutdownDevices();
        }
    }

    /// <summary>No access to a device of now goes on, and none gets through any more.</summary>
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
                Id, _processId, RamBytes, _processors.Length, _ending is null, counts, byAddress, unlisted, Router.Unclaimed, channels, _crash);
        }
    }

    /// <summary>
    /// Takes everything back, after <see cref="End"/>: waits for the further processors, revokes the bus channels,
    /// leaves the devices, lets the memory go.
    /// </summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed) return;
            _disposed = true;
        }
        _furtherGone.Wait();
        foreach (var offer in Offers) offer.Dispose();
        foreach (var device in Devices) device.Dispose();
        BusInterrupt.Dispose();
        DisposeMemory();
        _log.PartitionEnded(Id, _ending ?? "the hypervisor ends", Exits.Total);
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
            foreach (var spec in _specs) connected.Add(new AssignedDevice(spec, connected.Count, _patience, memory));
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
