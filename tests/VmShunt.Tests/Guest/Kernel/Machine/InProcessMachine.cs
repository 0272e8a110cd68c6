using System.Buffers.Binary;
using System.Collections.Concurrent;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;
using VmShunt.AhciBackend.Controller;
using VmShunt.BlockBackend.Disk;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.Guest.Kernel.Machine;

/// <summary>
/// A virtual machine without processes: VM-H's AHCI model at the registers, its virtio-blk device behind the bus, both on
/// one disk, and the hypercalls of the hypervisor. A register access is a function call.
/// </summary>
internal sealed class InProcessMachine : IMachine, IDisposable
{
    internal const ulong Abar = GuestLayout.BarAddress;
    internal const string Serial = "SER0123456789";

    private readonly SharedFlag _off = new();
    private readonly BlockingCollection<int> _interrupts = [];
    private readonly MemoryRegion[] _regions;
    private readonly AhciController _controller;
    private UnixConnection? _backEnd;
    private int _isOffered, _accesses;

    internal InProcessMachine(PortDriver port, int ramBytes = 48 << 20)
    {
        RamBytes = (ulong)ramBytes;
        MemoryFile = SharedMemoryFile.Create("machine-test", ramBytes);
        using var reserve = SharedMemoryFile.Create("reserve-test", GuestLayout.CrashReserveBytes);
        _regions =
        [
            MemoryRegion.Map(MemoryFile, 0, RamBytes, 0),
            MemoryRegion.Map(reserve, 0, GuestLayout.CrashReserveBytes, GuestLayout.CrashReserveAddress),
        ];
        Memory = new GuestMemory(_regions);
        Parts = [new MemoryPart(0, RamBytes, 0)];
        Disk = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance), Serial, 512);
        _controller = new AhciController(Disk, level =>
        {
            if (level && !_interrupts.IsAddingCompleted) _interrupts.Add(GuestLayout.FirstVector);
        });
        _controller.SetMemory(Memory);
    }

    public GuestMemory Memory { get; }

    public SafeFileHandle MemoryFile { get; }

    public IReadOnlyList<MemoryPart> Parts { get; }

    public ulong RamBytes { get; }

    public ulong CrashReserveAddress => GuestLayout.CrashReserveAddress;

    public int CrashReserveBytes => GuestLayout.CrashReserveBytes;

    public ulong EcamAddress => GuestLayout.EcamAddress;

    /// <summary>The disk, as both front ends see it.</summary>
    internal VirtualizationDriver Disk { get; }

    /// <summary>Accesses to the controller's registers.</summary>
    internal int Accesses => Ordered.Load(ref _accesses);

    /// <summary>The request types that VM-H supports on the ring.</summary>
    internal RequestTypes Implemented { get; set; } = RequestTypes.All;

    /// <summary>Whether the hypervisor offers the bus.</summary>
    internal bool IsOffered
    {
        get => Ordered.Load(ref _isOffered) != 0;
        set => Ordered.Store(ref _isOffered, value ? 1 : 0);
    }

    /// <summary>Whether VM-H refuses connections although the hypervisor offers the bus.</summary>
    internal bool IsUnavailable { get; set; }

    /// <summary>Buses closed by the guest.</summary>
    internal int Closed { get; private set; }

    /// <summary>Disconnects VM-H from the bus.</summary>
    internal void LoseBus() => _backEnd!.Shutdown();

    public IProcessor StartProcessor(int index) => new Processor(this);

    public void PowerOff() => _off.Raise();

    public void Dispose()
    {
        PowerOff();
        _controller.Dispose();
        _interrupts.CompleteAdding();
        Memory.Dispose();
        foreach (var region in _regions) region.Dispose();
        MemoryFile.Dispose();
        Disk.Dispose();
    }

    private sealed class Processor(InProcessMachine machine) : IProcessor
    {
        private ProcessorState _state;

        public ref ProcessorState State => ref _state;

        public ulong Read(ulong address, int size)
        {
            if (address is < Abar or >= Abar + GuestLayout.BarStride) return ulong.MaxValue;
            Interlocked.Increment(ref machine._accesses);
            Span<byte> bytes = stackalloc byte[8];
            bytes.Clear();
            machine._controller.Read(address - Abar, bytes[..size]);
            return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        }

        public void Write(ulong address, int size, ulong value)
        {
            Interlocked.Increment(ref machine._accesses);
            Span<byte> bytes = stackalloc byte[8];
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
            machine._controller.Write(address - Abar, bytes[..size]);
        }

        public int Halt()
        {
            if (!machine._interrupts.TryTake(out var vector, Timeout.Infinite)) throw new IOException("the machine is off");
            return vector;
        }

        public HypercallStatus Call(ulong code, ulong p1 = 0)
        {
            switch (code)
            {
                case Hypercall.Identify:
                    (_state.Rbx, _state.Rcx) = (Hypercall.SignatureLow, Hypercall.SignatureHigh);
                    return HypercallStatus.Success;
                case Hypercall.QueryBus:
                    _state.Rbx = machine.IsOffered ? 1u : 0;
                    return HypercallStatus.Success;
                case Hypercall.CloseBus:
                    machine.Closed++;
                    return HypercallStatus.Success;
                default:
                    return HypercallStatus.UnknownCode;
            }
        }

        public HypercallStatus Call(ulong code, ulong p1, out SafeFileHandle? descriptor)
        {
            descriptor = null;
            if (code != Hypercall.OpenBus || !machine.IsOffered) return HypercallStatus.NotOffered;
            if (machine.IsUnavailable) return HypercallStatus.Unavailable;
            (var guest, machine._backEnd) = RingDisk.Serve(machine.Disk, WaitPolicy.Never, machine.Implemented);
            descriptor = (SafeFileHandle)guest.Handle;
            return HypercallStatus.Success;
        }
    }
}
