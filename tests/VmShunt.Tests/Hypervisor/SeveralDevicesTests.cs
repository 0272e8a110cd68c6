using VmShunt.Hypervisor;
using VmShunt.Tests.Trap.VfioUser;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.Hypervisor;

public sealed class SeveralDevicesTests : IDisposable
{
    private readonly string _socket = RunningHypervisor.NewSocket();
    private readonly ServedDevices _one = new(), _two = new();

    public void Dispose()
    {
        _one.Dispose();
        _two.Dispose();
    }

    [Fact]
    public void Each_device_has_its_own_PCI_function_BAR_and_vector()
    {
        using var hypervisor = RunningHypervisor.Ready(_socket, $"disk0,vfio-user={_one.Path}", "--device", $"disk1,vfio-user={_two.Path}");
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var processor = partition.StartProcessor(0);
        Assert.Equal(2, partition.DeviceCount);
        for (var device = 0; device < 2; device++)
        {
            var bar = GuestLayout.BarAddress + (ulong)device * GuestLayout.BarStride;
            Assert.Equal(bar, processor.ReadMmio(GuestLayout.ConfigurationAddress(device) + 0x24, 4));
            processor.WriteMmio(bar + 8, 4, 100 + (ulong)device);
            processor.WriteMmio(bar + RegisterDevice.RaiseRegister, 4, 1);
            Assert.Equal(32 + device, processor.Halt());
        }
        Assert.Equal(100, _one.Devices.Last().Bar[8]);
        Assert.Equal(101, _two.Devices.Last().Bar[8]);
    }

    [Fact]
    public void Concurrent_traps_of_several_processors_get_their_own_answers()
    {
        const int processors = 4;
        using var hypervisor = RunningHypervisor.Ready(_socket, $"disk0,vfio-user={_one.Path}");
        using var partition = GuestPartition.Create(_socket, 1 << 20, processors);
        var wrong = 0;
        var threads = Enumerable.Range(0, processors).Select(index => new Thread(() =>
        {
            using var processor = partition.StartProcessor(index);
            var register = GuestLayout.BarAddress + 0x200 + (ulong)index * 8;
            for (ulong i = 0; i < 500; i++)
            {
                processor.WriteMmio(register, 8, (i << 8) + (ulong)index);
                if (processor.ReadMmio(register, 8) != ((i << 8) + (ulong)index)) Interlocked.Increment(ref wrong);
            }
            processor.Invoke(Hypercall.Identify);
            if (index == 0) Eventually.True(() => RunningHypervisor.Statistics(_socket, partition.Id).Exits.Hypercall == processors, "the others have finished");
        })).ToArray();
        foreach (var thread in threads) thread.Start();
        foreach (var thread in threads) thread.Join();
        Assert.Equal(0, wrong);
        Assert.Equal(500 * processors, RunningHypervisor.Statistics(_socket, partition.Id).Exits.MmioRead);
    }

    [Fact]
    public void RAM_beyond_3_GiB_is_shared_with_devices_at_4_GiB()
    {
        const ulong ram = GuestLayout.LowLimit + (1 << 20);
        if ((ulong)GC.GetGCMemoryInfo().TotalAvailableMemoryBytes < ram) return; // the hypervisor refuses it on such a machine
        using var hypervisor = RunningHypervisor.Ready(_socket, $"disk0,vfio-user={_one.Path}");
        using var partition = GuestPartition.Create(_socket, ram, 1);
        Assert.True(partition.Memory.TryWrite(GuestLayout.HighBase + 8, 0x1122ul));
        Assert.False(partition.Memory.TryWrite(GuestLayout.LowLimit, 0ul));
        Assert.True(_one.Devices.Last().Memory!.TryRead(GuestLayout.HighBase + 8, out ulong value));
        Assert.Equal(0x1122ul, value);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Routing_an_access_allocates_nothing(bool withState)
    {
        var hello = Hello.Of(HelloKind.NewPartition);
        hello.MemoryBytes = 1 << 20;
        hello.Processors = 1;
        var log = Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance;
        var spec = new DeviceSpec("disk0", _one.Path, null);
        using var bus = new DeviceBus(spec, static (_, _) => { }, log);
        using var partition = new Partition(1, hello, [spec], [bus], new TrapTerms(TimeSpan.FromSeconds(10), withState ? TrapState.Full : TrapState.Access), log);
        long before = 0;
        for (var i = 0; i < 3000; i++)
        {
            if (i == 1000) before = GC.GetAllocatedBytesForCurrentThread();
            partition.Exits.Add(new ExitRecord { Reason = ExitReason.MmioRead, Address = GuestLayout.BarAddress });
            Carry(ExitReason.MmioRead, GuestLayout.BarAddress);
            Carry(ExitReason.MmioWrite, GuestLayout.BarAddress);
            Carry(ExitReason.MmioRead, GuestLayout.ConfigurationAddress(0));
            Carry(ExitReason.MmioRead, 0);
        }
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        partition.Stop("the test is over");

        void Carry(ExitReason reason, ulong address)
        {
            var exit = new ExitRecord { Reason = reason, Address = address, Size = 4, Sequence = 7 };
            var state = exit.State;
            Assert.True(partition.Router.TryCarryOut(1, exit, ref state));
        }
    }
}
