using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.Trap.VmExit;

/// <summary>
/// A virtual machine as its own process sees it: the memory that the hypervisor gave it and the processors it may run.
/// Any thread may start processors. Disposing it ends the processors and unmaps the memory.
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

    /// <summary>The number that the hypervisor gave the partition.</summary>
    public int Id { get; }

    /// <summary>The guest's physical memory, crash reserve included; mapped until the partition is disposed.</summary>
    public GuestMemory Memory { get; }

    /// <summary>
    /// The RAM as it was when the guest crashed, at the same guest-physical addresses, which nobody can change any more;
    /// zeros until the <see cref="Hypercall.Crash"/> hypercall has moved the RAM there.
    /// </summary>
    public GuestMemory DumpMemory { get; }

    /// <summary>The file behind the RAM, to pass to a bus peer; owned by the partition.</summary>
    public SafeFileHandle MemoryFile { get; }

    /// <summary>The parts of the RAM's file: low RAM, high RAM where there is any.</summary>
    public IReadOnlyList<MemoryPart> Parts { get; }

    /// <summary>The RAM in bytes, without the crash reserve.</summary>
    public ulong RamBytes { get; }

    /// <summary>Where the crash reserve lies.</summary>
    public ulong CrashReserveAddress { get; }

    /// <summary>The size of the crash reserve in bytes.</summary>
    public int CrashReserveBytes { get; }

    /// <summary>Where the PCI configuration space lies.</summary>
    public ulong EcamAddress { get; }

    /// <summary>How many emulated devices the partition has; device N is function 00:(N+1).0.</summary>
    public int DeviceCount { get; }

    /// <summary>Has the hypervisor create a partition.</summary>
    /// <param name="hypervisorSocket">The hypervisor's socket.</param>
    /// <param name="memoryBytes">The RAM, a multiple of 4096 bytes.</param>
    /// <param name="processors">How many virtual processors, 1 to 64.</param>
    /// <param name="wait">How long the hypervisor may take to come to be there; by default not at all.</param>
    /// <exception cref="IOException">Nobody listens there, or the hypervisor refuses; its own words are the message.</exception>
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
                if (!connection.Descriptors.TryTake(out files[i])) throw new IOException("the hypervisor sent too little memory with its welcome");
            }
            return new GuestPartition(hypervisorSocket, connection, welcome, files!, processors);
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            foreach (var file in files) file?.Dispose();
            connection.Dispose();
            if (e is IOException) throw;
            throw new IOException($"the memory that the hypervisor gave cannot be used: {e.Message}", e);
        }
    }

    /// <summary>Starts a processor. Each can be started once.</summary>
    /// <param name="index">0 uses the connection that created the partition; others open one of their own.</param>
    /// <exception cref="ArgumentOutOfRangeException">The partition has no such processor.</exception>
    /// <exception cref="InvalidOperationException">It was started before.</exception>
    /// <exception cref="IOException">The hypervisor refuses; its own words are the message.</exception>
    public VirtualProcessor StartProcessor(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, _processors.Length);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_processors[index] is not null) throw new InvalidOperationException($"processor {index} was started before");
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
        var connection = new FramedConnection(UnixConnection.ConnectWhenServed(socket, wait));
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
            throw new IOException($"{socket} is no hypervisor, or one that ended: {e.Message}", e);
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
            // The guest memory holds the mappings from here on.
            foreach (var region in regions) region.Dispose();
        }
    }
}
