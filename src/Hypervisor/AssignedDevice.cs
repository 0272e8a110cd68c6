using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Trap.VfioUser;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>Memory that a device may access by DMA.</summary>
/// <param name="Part">Its guest-physical addresses and its place in the file.</param>
/// <param name="File">The file.</param>
/// <param name="Writable">Whether the device may write it.</param>
internal readonly record struct DeviceMemory(MemoryPart Part, SafeFileHandle File, bool Writable);

/// <summary>
/// An emulated device of one partition: its own vfio-user connection to VM-H, its DMA memory, its interrupt, and the
/// address of its registers. Any thread.
/// </summary>
internal sealed class AssignedDevice : IDisposable
{
    private const int CommandRegister = 0x04, Bar5Register = 0x24;
    private const ushort MemorySpace = 2, BusMaster = 4;
    private const uint BarAddressMask = 0xffff_fff0;

    private readonly VfioUserClient _client;
    private readonly int _index;
    private readonly Lock _lock = new();
    private readonly ulong _barBytes;
    private readonly ulong _configurationBytes;
    private ulong _barBase;
    private bool _barEnabled;
    private string? _lost;

    /// <summary>Connects to VM-H, maps the memory and configures the device as firmware does.</summary>
    /// <param name="spec">The device and VM-H's sockets for it.</param>
    /// <param name="index">Its number.</param>
    /// <param name="trap">How VM-H is served and what it gets of an access.</param>
    /// <param name="memory">What it may access.</param>
    /// <exception cref="IOException">VM-H is lost, refuses, or does not answer in time.</exception>
    internal AssignedDevice(DeviceSpec spec, int index, TrapTerms trap, IEnumerable<DeviceMemory> memory)
    {
        Name = spec.Name;
        _index = index;
        try
        {
            _client = VfioUserClient.Connect(spec.RegisterSocket, trap.ResponseTimeout, proposesState: trap.State == TrapState.Full);
        }
        catch (IOException e)
        {
            throw new IOException($"{e.Message} (the hypervisor has a connection of its own there, so a server of one client at a time cannot be used)", e);
        }
        Interrupt = EventFd.Create();
        try
        {
            trap.Require(_client);
            foreach (var (part, file, writable) in memory) _client.MapMemory(part.GuestAddress, part.Size, part.FileOffset, file, writable);
            _barBytes = _client.GetRegionInfo(VfioPciRegion.Bar5).Size;
            _configurationBytes = _client.GetRegionInfo(VfioPciRegion.Configuration).Size;
            _client.SetInterrupt(VfioPciIrq.Msi, Interrupt);
            Configure();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    internal string Name { get; }

    // Acquires, so that a thread that sees the device lost also sees why.
    private VfioUserClient Client => Ordered.Load(ref _lost) is { } why ? throw new IOException(why) : _client;

    /// <summary>Signalled by VM-H; stays signalled until a processor takes the interrupt.</summary>
    internal EventFd Interrupt { get; }

    /// <summary>Whether an access falls into the registers, with BAR 5 as it is programmed now.</summary>
    internal bool Claims(ulong address, int size, out ulong offset)
    {
        lock (_lock)
        {
            offset = address - _barBase;
            return _barEnabled && address >= _barBase && offset <= _barBytes && (ulong)size <= _barBytes - offset;
        }
    }

    /// <summary>Whether an access lies in the configuration space.</summary>
    internal bool HasConfiguration(ulong offset, int size) => offset + (ulong)size <= _configurationBytes;

    /// <summary>Carries out a load or a store of a suspended processor.</summary>
    /// <param name="access">The access, which lies in its region.</param>
    /// <param name="state">The processor's registers, which are changed.</param>
    /// <returns>False when the processor is to execute the instruction again.</returns>
    /// <exception cref="IOException">VM-H is lost, refuses, or answers what it may not.</exception>
    internal bool TryAccess(in TrappedAccess access, ref ProcessorState state)
    {
        if (access.Region != VfioPciRegion.Configuration || access.Reason == ExitReason.MmioRead) return TryForward(access, ref state);
        var (offset, end) = (access.Offset, access.Offset + access.Size);
        lock (_lock)
        {
            var done = TryForward(access, ref state);
            if (Overlaps(CommandRegister, 2) || Overlaps(Bar5Register, 4)) FollowBar();
            return done;
        }

        bool Overlaps(ulong register, ulong bytes) => offset < register + bytes && register < end;
    }

    /// <summary>The bytes exchanged with VM-H so far.</summary>
    internal long Bytes => _client.Bytes;

    /// <summary>Makes an access in flight and every later one fail.</summary>
    internal void Shutdown() => _client.Shutdown();

    /// <summary>Makes every later access fail with this reason.</summary>
    internal void MarkLost(string why)
    {
        Ordered.Store(ref _lost, why);
        Shutdown();
    }

    public void Dispose()
    {
        _client.Dispose();
        Interrupt.Dispose();
    }

    private bool TryForward(in TrappedAccess access, ref ProcessorState state)
    {
        var client = Client;
        if (client.SendsState) return TrapVerdict.Apply(access, client.Trap(access), ref state);
        Span<byte> value = stackalloc byte[sizeof(ulong)];
        var data = value[..(int)access.Size];
        if (access.Reason == ExitReason.MmioWrite)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(value, state.Rax);
            client.WriteRegion((int)access.Region, access.Offset, data);
            return true;
        }
        value.Clear();
        client.ReadRegion((int)access.Region, access.Offset, data);
        state.Rax = BinaryPrimitives.ReadUInt64LittleEndian(value);
        return true;
    }

    private void Configure()
    {
        Span<byte> value = stackalloc byte[4];
        lock (_lock)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(value, (uint)(GuestLayout.BarAddress + (ulong)_index * GuestLayout.BarStride));
            _client.WriteRegion(VfioPciRegion.Configuration, Bar5Register, value);
            var command = ReadCommand() | MemorySpace | BusMaster;
            BinaryPrimitives.WriteUInt16LittleEndian(value, (ushort)command);
            _client.WriteRegion(VfioPciRegion.Configuration, CommandRegister, value[..2]);
            FollowBar();
        }
    }

    private void FollowBar()
    {
        Span<byte> value = stackalloc byte[4];
        _client.ReadRegion(VfioPciRegion.Configuration, Bar5Register, value);
        _barBase = BinaryPrimitives.ReadUInt32LittleEndian(value) & BarAddressMask;
        _barEnabled = (ReadCommand() & MemorySpace) != 0;
    }

    private ushort ReadCommand()
    {
        Span<byte> value = stackalloc byte[2];
        _client.ReadRegion(VfioPciRegion.Configuration, CommandRegister, value);
        return BinaryPrimitives.ReadUInt16LittleEndian(value);
    }
}
