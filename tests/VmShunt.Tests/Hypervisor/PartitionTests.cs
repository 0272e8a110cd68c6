using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Trap.VfioUser;
using VmShunt.Trap;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.Hypervisor;

public sealed class PartitionTests : IDisposable
{
    private const ulong Config = GuestLayout.EcamAddress + (1 << 15), Bar = GuestLayout.BarAddress;

    private readonly string _socket = RunningHypervisor.NewSocket();
    private readonly ServedDevices _served = new();
    private readonly RunningHypervisor _hypervisor;

    public PartitionTests() => _hypervisor = RunningHypervisor.Ready(_socket, $"disk0,vfio-user={_served.Path}");

    public void Dispose()
    {
        _hypervisor.Dispose();
        _served.Dispose();
    }

    [Theory]
    [InlineData(0ul, 1, "needs memory")]
    [InlineData(4097ul, 1, "no multiple")]
    [InlineData(1ul << 60, 1, "this machine has")]
    [InlineData(1ul << 20, 0, "1 to 64 processors")]
    [InlineData(1ul << 20, 65, "1 to 64 processors")]
    public void An_impossible_partition_is_refused_with_a_reason(ulong memory, int processors, string expected)
    {
        var error = Assert.Throws<IOException>(() => GuestPartition.Create(_socket, memory, processors));
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        Assert.Equal(1, partition.Id);
    }

    [Fact]
    public void Guest_memory_is_shared_with_its_own_devices_only()
    {
        using var one = GuestPartition.Create(_socket, 1 << 20, 1);
        using var two = GuestPartition.Create(_socket, 1 << 20, 1);
        Assert.Equal([new MemoryPart(0, 1 << 20, 0)], one.Parts);
        Assert.Equal(1, one.DeviceCount);
        Assert.True(one.Memory.TryWrite(0x1000, 0xAAul));
        Assert.True(one.Memory.TryWrite(GuestLayout.CrashReserveAddress, 0xBBul));
        Assert.True(two.Memory.TryRead(0x1000, out ulong value));
        Assert.Equal(0ul, value);
        Assert.Contains(_served.Devices, d => d.Memory is { } m && m.TryRead(0x1000, out ulong a) && a == 0xAA && m.TryRead(GuestLayout.CrashReserveAddress, out ulong b) && b == 0xBB);
    }

    [Fact]
    public void Devices_appear_in_configuration_space_with_BAR_and_memory_space_set()
    {
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var processor = partition.StartProcessor(0);
        Assert.Equal(Bar, processor.ReadMmio(Config + 0x24, 4));
        Assert.Equal(6ul, processor.ReadMmio(Config + 4, 2));
        processor.WriteMmio(Bar + 8, 8, 0x0102_0304_0506_0708);
        Assert.Equal(0x0102_0304ul, processor.ReadMmio(Bar + 12, 4));
        Assert.Equal(0x08ul, processor.ReadMmio(Bar + 8, 1));
    }

    [Fact]
    public void An_unclaimed_address_reads_as_ones_and_is_counted()
    {
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var processor = partition.StartProcessor(0);
        ulong[] unclaimed =
        [
            GuestLayout.EcamAddress, Config + 0x1000, Config + (1 << 15), GuestLayout.EcamAddress + GuestLayout.EcamBytes,
            Bar + 0x1000, Bar - 4, Bar + 0xffe, Config + 0xfe, 0, ulong.MaxValue,
        ];
        foreach (var address in unclaimed)
        {
            Assert.Equal(0xffff_fffful, processor.ReadMmio(address, 4));
            processor.WriteMmio(address, 4, 0);
        }
        Assert.Equal(2 * unclaimed.Length, RunningHypervisor.Statistics(_socket, partition.Id).Unclaimed);
    }

    [Fact]
    public void Registers_follow_BAR_5_and_the_memory_space_bit()
    {
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var processor = partition.StartProcessor(0);
        processor.WriteMmio(Bar + 16, 4, 0x1234);
        processor.WriteMmio(Config + 0x24, 4, 0xF123_0000);
        Assert.Equal(0x1234ul, processor.ReadMmio(0xF123_0010, 4));
        Assert.Equal(0xffff_fffful, processor.ReadMmio(Bar + 16, 4));
        processor.WriteMmio(Config + 4, 1, 0);
        Assert.Equal(0xffff_fffful, processor.ReadMmio(0xF123_0010, 4));
    }

    [Fact]
    public void Exits_are_counted_by_reason_and_address_and_kept_after_the_partition_ends()
    {
        int id;
        using (var partition = GuestPartition.Create(_socket, 1 << 20, 1))
        {
            id = partition.Id;
            using var processor = partition.StartProcessor(0);
            for (var i = 0; i < 5; i++) processor.ReadMmio(Bar, 4);
            for (var i = 0; i < 3; i++) processor.WriteMmio(Bar + 4, 4, 1);
            Assert.Equal(HypercallStatus.Success, processor.Invoke(Hypercall.Counters, (ulong)ExitReason.MmioRead));
            Assert.Equal(5ul, processor.State.Rbx);
            Assert.Equal(HypercallStatus.BadParameter, processor.Invoke(Hypercall.Counters, 5));
            Assert.True(RunningHypervisor.Statistics(_socket, id).Alive);
        }
        Eventually.True(() => !RunningHypervisor.Statistics(_socket, id).Alive, "the partition stops");
        var statistics = RunningHypervisor.Statistics(_socket, id);
        Assert.Equal(new ExitCounts(5, 3, 2, 0, 10), statistics.Exits);
        Assert.Equal(Environment.ProcessId, statistics.ProcessId);
        Assert.Contains(new AddressCount(ExitReason.MmioRead, Bar, 5), statistics.ByAddress);
        Assert.Contains(new AddressCount(ExitReason.MmioWrite, Bar + 4, 3), statistics.ByAddress);
    }

    [Fact]
    public void An_interrupt_wakes_a_halted_processor_and_an_earlier_one_is_not_lost()
    {
        using var partition = GuestPartition.Create(_socket, 1 << 20, 2);
        using var processor = partition.StartProcessor(0);
        using var second = partition.StartProcessor(1);
        processor.WriteMmio(Bar + RegisterDevice.RaiseRegister, 4, 1);
        Assert.Equal(32, processor.Halt());

        var vector = 0;
        var halted = new Thread(() => vector = second.Halt());
        halted.Start();
        Eventually.True(() => RunningHypervisor.Statistics(_socket, partition.Id).Exits.Halt == 2, "the second processor halts");
        processor.WriteMmio(Bar + RegisterDevice.RaiseRegister, 4, 1);
        halted.Join();
        Assert.Equal(32, vector);
    }

    [Fact]
    public void A_processor_without_the_partition_key_is_refused()
    {
        using var partition = GuestPartition.Create(_socket, 1 << 20, 2);
        var hello = Hello.Of(HelloKind.FurtherProcessor);
        hello.PartitionId = (uint)partition.Id;
        hello.Index = 1;
        var error = Assert.Throws<IOException>(() => GuestPartition.Open(_socket, hello, out _));
        Assert.Contains("no partition 1 with this key", error.Message, StringComparison.Ordinal);
        using var second = partition.StartProcessor(1);
        Assert.Equal(HypercallStatus.Success, second.Invoke(Hypercall.Identify));
    }

    [Fact]
    public void The_hypervisor_has_a_signature_and_refuses_unknown_hypercalls()
    {
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var processor = partition.StartProcessor(0);
        Assert.Equal(HypercallStatus.Success, processor.Invoke(Hypercall.Identify));
        Assert.Equal((Hypercall.SignatureLow, Hypercall.SignatureHigh, Hypercall.Highest), (processor.State.Rbx, processor.State.Rcx, processor.State.Rdx));
        Assert.Equal(HypercallStatus.UnknownCode, processor.Invoke(Hypercall.Highest + 1));
        Assert.Equal(HypercallStatus.Success, processor.Invoke(Hypercall.QueryBus, 0));
        Assert.Equal(0ul, processor.State.Rbx);
        Assert.Equal(HypercallStatus.BadParameter, processor.Invoke(Hypercall.QueryBus, 1));
        Assert.Equal(HypercallStatus.NotOffered, processor.Invoke(Hypercall.OpenBus, 0, out var nothing));
        Assert.Null(nothing);
    }

    [Fact]
    public void A_refused_access_or_an_invalid_exit_is_a_machine_check()
    {
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var processor = partition.StartProcessor(0);
        var fault = Assert.Throws<MachineCheckException>(() => processor.WriteMmio(Bar + RegisterDevice.RefusedRegister, 4, 1));
        Assert.Contains(_served.Path, fault.Message, StringComparison.Ordinal);
        Assert.Equal(FaultCode.DeviceFailed, fault.Code);
        Assert.Equal(FaultCode.BadExit, Assert.Throws<MachineCheckException>(() => processor.ReadMmio(Bar, 3)).Code);
        Assert.Equal(0ul, processor.ReadMmio(Bar, 4));
    }

    [Fact]
    public void Power_off_ends_one_partition_and_leaves_the_others_running()
    {
        using var other = GuestPartition.Create(_socket, 1 << 20, 1);
        using var running = other.StartProcessor(0);
        using var partition = GuestPartition.Create(_socket, 1 << 20, 2);
        using var processor = partition.StartProcessor(0);
        using var second = partition.StartProcessor(1);
        Assert.Equal(HypercallStatus.Success, second.Invoke(Hypercall.PowerOff));
        Assert.Throws<HypervisorLostException>(() => processor.Halt());
        Eventually.True(() => _hypervisor.Errors.Contains("stopped: the guest powered it off", StringComparison.Ordinal), "the stop is logged");
        Assert.Equal(HypercallStatus.Success, running.Invoke(Hypercall.Identify));
    }

    [Fact]
    public void Guests_that_disconnect_leak_no_descriptors_or_threads()
    {
        ConnectAndDisconnect(20);
        var (descriptors, threads) = (_hypervisor.DescriptorCount, _hypervisor.ThreadCount);
        ConnectAndDisconnect(200);
        Assert.InRange(_hypervisor.DescriptorCount, 1, descriptors + 5);
        Assert.InRange(_hypervisor.ThreadCount, 1, threads + 5);
        using var observer = HypervisorObserver.Connect(_socket);
        Assert.Equal(Enumerable.Range(205, 16), observer.Query().Partitions.Select(p => p.Id).Order());
    }

    private void ConnectAndDisconnect(int times)
    {
        for (var i = 0; i < times; i++)
        {
            using var connection = new FramedConnection(UnixConnection.Connect(_socket));
            var hello = Hello.Of(HelloKind.NewPartition);
            hello.MemoryBytes = 1 << 20;
            hello.Processors = 1;
            connection.Send(in hello);
            Assert.True(connection.Receive(out Welcome welcome));
            Assert.Equal(0u, welcome.Refused);
            connection.Send(new byte[100]);
        }
        Eventually.True(() => _served.SessionCount == 1, "only the supervising connection is left");
        using var observer = HypervisorObserver.Connect(_socket);
        Eventually.True(() => observer.Query().Partitions.All(p => !p.Alive), "all partitions stop");
    }
}
