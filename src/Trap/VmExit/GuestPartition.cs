using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.Trap.VmExit;

/// <summary>
/// The guest's side of a partition: the memory that the hypervisor allocated and the processors that the guest runs. Any
/// thread may start processors. Disposing it stops the processors and unmaps the memory.
/// </summary>
public sealed class GuestPartition : IDisposable
{
    private readonly string _socket;
    private readonly PartitionKey _key;
    private readonly VirtualProcessor?[] _processors;
    private readonly Lock _lock = new();
    private FramedConnection? _first;
    private bool _disposed;

    private GuestPartition(string socket, FramedConnection connection, in Welcome welcome, SafeFileHandle[] files, int processors)
    {
        _socket = socket;
        _key = welcome.Key;
        _processors = new VirtualProcessor?[processors];
        Id = (int)welcome.PartitionId;
        RamBytes = welcome.RamBytes;
        CrashReserveAddress = welcome.CrashReserveAddress;
        CrashReserveBytes = (int)welcome.CrashReserveBytes;
        EcamAddress = welcome.EcamAddress;
        DeviceCount = (int)welcome.DeviceCount;
        MemoryFile = files[0];
        Parts = PartsOf(welcome);
        using (SafeFileHandle reserve = files[1], dump = files[2])
        {
            Memory = Map([.. Parts.Select(part => (part, MemoryFile)), (new MemoryPart(CrashReserveAddress, welcome.CrashReserveBytes, 0), reserve)], writable: true);
            DumpMemory = Map([.. Parts.Select(part => (part, dump))], writable: false);
        }
        _first = connection;
    }

    /// <summary>The partition's number.</summary>
    public int Id { get; }

    /// <summary>The guest's physical memory, crash reserve included; mapped until the partition is disposed.</summary>
    public GuestMemory Memory { get; }

    /// <summary>
    /// The RAM as it was when the guest crashed, at the same guest-physical addresses, read-only and sealed. Reads as zeros
    /// until the <see cref="Hypercall.Crash"/> hypercall has moved the RAM there.
    /// </summary>
    public GuestMemory DumpMemory { get; }

    /// <summary>The file behind the RAM, to pass to a bus peer; owned by the partition.</summary>
    public SafeFileHandle MemoryFile { get; }

    /// <summary>The parts of the RAM's file: low RAM, and high RAM if it exists.</summary>
    public IReadOnlyList<MemoryPart> Parts { get; }

    /// <summary>The RAM in bytes, without the crash reserve.</summary>
    public ulong RamBytes { get; }

    /// <summary>The address of the crash reserve.</summary>
    public ulong CrashReserveAddress { get; }

    /// <summary>The size of the crash reserve in bytes.</summary>
    public int CrashReserveBytes { get; }

    /// <summary>The address of the PCI configuration space.</summary>
    public ulong EcamAddress { get; }

    /// <summary>The number of emulated devices; device N is function 00:(N+1).0.</summary>
    public int DeviceCount { get; }

    /// <summary>Asks the hypervisor for a new partition.</summary>
    /// <param name="hypervisorSocket">The hypervisor's socket.</param>
    /// <param name="memoryBytes">The RAM, a multiple of 4096 bytes.</param>
    /// <param name="processors">The number of virtual processors, 1 to 64.</param>
    /// <param name="wait">How long to wait for the hypervisor's socket; by default fail at once.</param>
    /// <exception cref="IOException">No hypervisor listens there, or it refuses; then the message is its reason.</exception>
    public static GuestPartition Create(string hypervisorSocket, ulong memoryBytes, int processors, TimeSpan wait = default)
    {
        var hello = Hello.Of(HelloKind.NewPartition);
        hello.MemoryBytes = memoryBytes;
        hello.Processors = (uint)processors;
        var connection = Open(hypervisorSocket, hello, out var welcome, wait);
        var files = new SafeFileHandle?[3];
        try
        {
            for (var i = 0; i < files.Length; i++)
            {
                if (!connection.Descriptors.TryTake(out files[i])) throw new IOException("the hypervisor sent fewer memory files than a partition has");
            }
            return new GuestPartition(hypervisorSocket, connection, welcome, files!, processors);
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            foreach (var file in files) file?.Dispose();
            connection.Dispose();
            if (e is IOException) throw;
            throw new IOException($"the hypervisor's memory files cannot be mapped: {e.Message}", e);
        }
    }

    /// <summary>Starts a processor. Each can be started once.</summary>
    /// <param name="index">0 uses the connection that created the partition; others open a new one.</param>
    /// <exception cref="ArgumentOutOfRangeException">The partition has no such processor.</exception>
    /// <exception cref="InvalidOperationException">It is already started.</exception>
    /// <exception cref="IOException">The hypervisor refuses; the message is its reason.</exception>
    public VirtualProcessor StartProcessor(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, _processors.Length);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_processors[index] is not null) throw new InvalidOperationException($"processor {index} is already started");
            var connection = index == 0 ? _first! : OpenFurther(index);
            if (index == 0) _first = null;
            return _processors[index] = new VirtualProcessor(connection, index);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed) return;
            _disposed = true;
            foreach (var processor in _processors) processor?.Dispose();
            _first?.Dispose();
            Memory.Dispose();
            DumpMemory.Dispose();
            MemoryFile.Dispose();
        }
    }

    internal static FramedConnection Open(string socket, in Hello hello, out Welcome welcome, TimeSpan wait = default)
    {
        var connection = new FramedConnection(UnixConnection.ConnectWithRetry(socket, wait));
        try
        {
            connection.Send(in hello);
            if (!ReceiveWelcome(socket, connection, out welcome)) throw new IOException($"the hypervisor at {socket} closed the connection before its welcome");
            if (welcome.Magic != Hello.ExpectedMagic || welcome.Version != Hello.ExpectedVersion)
                throw new IOException($"{socket} is no hypervisor of this version: it answered magic {welcome.Magic:x}, version {welcome.Version}");
            if (welcome.Refused != 0) throw new IOException(VirtualProcessor.ReceiveText(connection, welcome.TextLength));
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    private static bool ReceiveWelcome(string socket, FramedConnection connection, out Welcome welcome)
    {
        try
        {
            return connection.Receive(out welcome);
        }
        catch (IOException e)
        {
            throw new IOException($"{socket} is no hypervisor, or it has exited: {e.Message}", e);
        }
    }

    private FramedConnection OpenFurther(int index)
    {
        var hello = Hello.Of(HelloKind.FurtherProcessor);
        hello.PartitionId = (uint)Id;
        hello.Index = (uint)index;
        hello.Key = _key;
        return Open(_socket, hello, out _);
    }

    private static List<MemoryPart> PartsOf(in Welcome welcome)
    {
        var high = welcome.RamBytes - welcome.LowBytes;
        var parts = new List<MemoryPart> { new(0, welcome.LowBytes, 0) };
        if (high > 0) parts.Add(new MemoryPart(welcome.HighAddress, high, welcome.LowBytes));
        return parts;
    }

    private static GuestMemory Map(IReadOnlyList<(MemoryPart Part, SafeFileHandle File)> parts, bool writable)
    {
        var regions = new List<MemoryRegion>();
        try
        {
            foreach (var (part, file) in parts) regions.Add(MemoryRegion.Map(file, part.FileOffset, part.Size, part.GuestAddress, writable: writable));
            return new GuestMemory(regions);
        }
        finally
        {
            // The guest memory keeps the mappings alive.
            foreach (var region in regions) region.Dispose();
        }
    }
}
