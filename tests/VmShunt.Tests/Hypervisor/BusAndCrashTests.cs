using System.Collections.Concurrent;
using System.Security.Cryptography;
using VmShunt.Ring.Interop;
using VmShunt.Tests.Trap.VfioUser;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.Hypervisor;

public sealed class BusAndCrashTests : IDisposable
{
    private readonly string _socket = RunningHypervisor.NewSocket();
    private readonly ServedDevices _served = new();
    private readonly UnixListener _bus;
    private readonly RunningHypervisor _hypervisor;

    public BusAndCrashTests()
    {
        var bus = RunningHypervisor.NewSocket();
        _bus = UnixListener.Bind(bus);
        _hypervisor = RunningHypervisor.Ready(_socket, $"disk0,vhost-user={bus},vfio-user={_served.Path}");
    }

    public void Dispose()
    {
        _hypervisor.Dispose();
        _served.Dispose();
        _bus.Dispose();
    }

    [Fact]
    public void A_bus_channel_connects_guest_and_VM_H_directly_until_it_is_closed()
    {
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var processor = partition.StartProcessor(0);
        processor.Invoke(Hypercall.QueryBus, 0);
        Assert.Equal((1ul, 0ul), (processor.State.Rbx, processor.State.Rcx));
        using var guest = Open(processor);
        using var host = _bus.Accept();
        Assert.Equal(HypercallStatus.AlreadyOpen, processor.Invoke(Hypercall.OpenBus, 0));
        guest.Send("hello"u8);
        var text = new byte[5];
        Assert.True(host.ReceiveExactly(text));
        Assert.Equal("hello"u8, text);
        Assert.True(RunningHypervisor.Statistics(_socket, partition.Id).Channels.Single().Open);

        // VM-H sends a message that stays unread, and closes when it reads end-of-file.
        host.Send("unread"u8);
        var closing = CloseAtEndOfFile(host);
        Assert.Equal(HypercallStatus.Success, processor.Invoke(Hypercall.CloseBus, 0));
        Assert.True(closing.Join(30_000), "VM-H does not read the end of the channel");
        Assert.Equal(HypercallStatus.NotOpen, processor.Invoke(Hypercall.CloseBus, 0));
        Assert.False(RunningHypervisor.Statistics(_socket, partition.Id).Channels.Single().Open);

        using var again = Open(processor);
        // The thread, which runs until the guest's end, disposes it.
        CloseAtEndOfFile(_bus.Accept());
    }

    [Fact]
    public void A_bus_channel_closed_by_VM_H_can_be_opened_again()
    {
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var processor = partition.StartProcessor(0);
        Open(processor).Dispose();
        _bus.Accept().Dispose();
        Open(processor).Dispose();
        _bus.Accept().Dispose();
    }

    [Fact]
    public void A_guest_that_exits_loses_its_bus_channel()
    {
        var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var guest = Open(partition.StartProcessor(0));
        using var host = _bus.Accept();
        partition.Dispose();
        CloseAtEndOfFile(host).Join();
        Eventually.True(() => !RunningHypervisor.Statistics(_socket, partition.Id).Alive, "the partition stops although the guest still has the socket");
    }

    [Fact]
    public void A_bus_channel_that_VM_H_does_not_close_is_cut_by_force()
    {
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var processor = partition.StartProcessor(0);
        using var guest = Open(processor);
        using var host = _bus.Accept();
        Assert.Equal(HypercallStatus.Forced, processor.Invoke(Hypercall.CloseBus, 0));
        Assert.Throws<IOException>(() => host.Send("late"u8));
        Eventually.True(() => _hypervisor.Errors.Contains("VM-H did not close the bus channel of disk0", StringComparison.Ordinal), "it is logged");
    }

    [Fact]
    public void After_a_crash_memory_is_hashed_only_when_no_ring_or_device_can_write_it()
    {
        using var partition = GuestPartition.Create(_socket, 3 << 20, 3);
        using var processor = partition.StartProcessor(0);
        using var halted = partition.StartProcessor(1);
        using var busy = partition.StartProcessor(2);
        using var guest = Open(processor);
        using var host = _bus.Accept();
        var ended = new ConcurrentQueue<string>();
        var others = new[] { Runs(() => halted.Halt()), Runs(() => { while (true) busy.WriteMmio(GuestLayout.BarAddress + 8, 4, 1); }) };
        Eventually.True(() => RunningHypervisor.Statistics(_socket, partition.Id).Exits is { Halt: 1, MmioWrite: > 100 }, "the others run");

        // The crashed driver's ring is served until VM-H reads end-of-file; its last write comes just before the close.
        var device = _served.Devices.Last();
        var ring = new Thread(() =>
        {
            while (host.Receive(new byte[100]) > 0)
            {
            }
            partition.Memory.TryWrite(0x5000, 0xDEADul);
            host.Dispose();
        });
        ring.Start();
        Assert.Equal(HypercallStatus.Success, processor.Invoke(Hypercall.Crash, 0xBAD));
        Assert.Equal(1ul, processor.State.Rbx);
        ring.Join();

        var statistics = RunningHypervisor.Statistics(_socket, partition.Id);
        var crash = statistics.Crash!;
        var memory = SHA256.HashData(partition.DumpMemory.GetSpan(0, 3 << 20));
        Assert.Equal(Convert.ToHexStringLower(memory), crash.MemorySha256);
        Assert.True(partition.DumpMemory.TryRead(0x5000, out ulong last));
        Assert.Equal(0xDEADul, last);
        Assert.Equal((0xBADul, 3ul << 20, 1), (crash.Reason, crash.MemoryBytes, crash.ChannelsRevoked));
        Assert.Equal(Enumerable.Range(1, crash.Events.Count), crash.Events.Select(e => e.Sequence));
        Assert.Equal(crash.Events.OrderBy(e => e.MonotonicNanoseconds).Select(e => e.Sequence), crash.Events.Select(e => e.Sequence));
        Assert.Equal(
            ["the guest crashed", "2 other processor", "bus channel of disk0 revoked", "memory hashed and sealed", "device disk0 restarted", "the crashing processor resumes"],
            crash.Events.Zip(["the guest crashed", "2 other processor", "bus channel of disk0 revoked", "memory hashed and sealed", "device disk0 restarted", "the crashing processor resumes"], (e, start) => e.What.StartsWith(start, StringComparison.Ordinal) ? start : e.What));

        // Only the crashing processor runs, and only on the trap path.
        var writes = statistics.Exits.MmioWrite;
        Assert.Equal(GuestLayout.BarAddress, processor.ReadMmio(GuestLayout.ConfigurationAddress(0) + 0x24, 4));
        processor.WriteMmio(GuestLayout.BarAddress + 12, 4, 7);
        Assert.Equal(HypercallStatus.Crashed, processor.Invoke(Hypercall.OpenBus, 0, out _));
        Assert.Equal(writes + 1, RunningHypervisor.Statistics(_socket, partition.Id).Exits.MmioWrite);
        Assert.Empty(ended);

        // The old device is disposed; the new one may read the dump memory and write the crash reserve only.
        Eventually.True(() => device.Events.Contains("disposed"), "the old device is disposed");
        var fresh = _served.Devices.Last().Memory!;
        Assert.True(fresh.TryRead(0x5000, out last));
        Assert.Equal(0xDEADul, last);
        Assert.False(fresh.TryWrite(0x5000, 0ul));
        Assert.True(fresh.TryWrite(GuestLayout.CrashReserveAddress, 0x77ul));
        Assert.True(partition.Memory.TryRead(GuestLayout.CrashReserveAddress, out ulong reserve));
        Assert.Equal(0x77ul, reserve);

        partition.Dispose();
        foreach (var other in others) other.Join();
        Assert.Equal(["HypervisorLostException", "HypervisorLostException"], ended);

        Thread Runs(Action action)
        {
            var thread = new Thread(() => ended.Enqueue(Record.Exception(action)!.GetType().Name));
            thread.Start();
            return thread;
        }
    }

    private static UnixConnection Open(VirtualProcessor processor)
    {
        Assert.Equal(HypercallStatus.Success, processor.Invoke(Hypercall.OpenBus, 0, out var descriptor));
        return UnixConnection.FromDescriptor(descriptor!);
    }

    private static Thread CloseAtEndOfFile(UnixConnection host)
    {
        var thread = new Thread(() =>
        {
            while (host.Receive(new byte[100]) > 0)
            {
            }
            host.Dispose();
        });
        thread.Start();
        return thread;
    }
}
