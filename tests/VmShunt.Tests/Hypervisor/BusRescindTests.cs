using VmShunt.Ring.Interop;
using VmShunt.Tests.Trap.VfioUser;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.Hypervisor;

public sealed class BusRescindTests : IDisposable
{
    private readonly string _socket = RunningHypervisor.NewSocket();
    private readonly string _busSocket = RunningHypervisor.NewSocket();
    private readonly ServedDevices _served = new();
    private readonly RunningHypervisor _hypervisor;
    private UnixListener _bus;

    public BusRescindTests()
    {
        _bus = UnixListener.Bind(_busSocket);
        _hypervisor = RunningHypervisor.Ready(_socket, $"disk0,vhost-user={_busSocket},vfio-user={_served.Path}");
    }

    public void Dispose()
    {
        _hypervisor.Dispose();
        _served.Dispose();
        _bus.Dispose();
    }

    [Fact]
    public void Rescinding_the_bus_ends_its_channels_and_each_change_raises_the_bus_interrupt()
    {
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var processor = partition.StartProcessor(0);
        for (var round = 0; round < 3; round++)
        {
            Assert.Equal(HypercallStatus.Success, processor.Invoke(Hypercall.OpenBus, 0, out var descriptor));
            using var guest = UnixConnection.FromDescriptor(descriptor!);
            using var host = _bus.Accept();

            _hypervisor.Send("USR1");
            Assert.Equal(GuestLayout.BusVector, processor.Halt());
            Assert.Equal((HypercallStatus.Success, 0ul, 1ul), Query(processor));
            // VM-H reads end-of-file. Until it closes, the guest sees its channel open, because its memory is still in use.
            Assert.Equal(0, host.Receive(new byte[1]));
            using var end = new WaitSet(guest.Handle);
            Assert.False(end.Wait(0));
            Assert.Equal(HypercallStatus.NotOffered, processor.Invoke(Hypercall.OpenBus, 0));
            host.Dispose();
            Assert.True(end.Wait() && end.IsHungUp(0));
            Assert.Equal((HypercallStatus.Success, 0ul, 0ul), Query(processor));

            _hypervisor.Send("USR2");
            Assert.Equal(GuestLayout.BusVector, processor.Halt());
            Assert.Equal((HypercallStatus.Success, 1ul, 0ul), Query(processor));
        }
        Assert.Contains("bus channel of disk0 rescinded", _hypervisor.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void A_withdrawn_bus_is_offered_again_when_VM_H_listens_again()
    {
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var processor = partition.StartProcessor(0);
        _bus.Dispose();
        Assert.Equal(HypercallStatus.Unavailable, processor.Invoke(Hypercall.OpenBus, 0));
        Assert.Equal((HypercallStatus.Success, 0ul, 0ul), Query(processor));
        Assert.Equal(HypercallStatus.NotOffered, processor.Invoke(Hypercall.OpenBus, 0));

        _bus = UnixListener.Bind(_busSocket);
        Assert.Equal(GuestLayout.BusVector, processor.Halt());
        Assert.Equal((HypercallStatus.Success, 1ul, 0ul), Query(processor));
        Assert.Equal(HypercallStatus.Success, processor.Invoke(Hypercall.OpenBus, 0, out var descriptor));
        descriptor!.Dispose();
    }

    [Fact]
    public void A_guest_created_while_the_bus_is_rescinded_gets_it_when_it_is_offered_again()
    {
        _hypervisor.Send("USR1");
        Eventually.True(() => _hypervisor.Errors.Contains("bus of disk0 rescinded", StringComparison.Ordinal), "the bus is rescinded");
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var processor = partition.StartProcessor(0);
        Assert.Equal((HypercallStatus.Success, 0ul, 0ul), Query(processor));
        _hypervisor.Send("USR2");
        Assert.Equal(GuestLayout.BusVector, processor.Halt());
        Assert.Equal((HypercallStatus.Success, 1ul, 0ul), Query(processor));
    }

    private static (HypercallStatus Status, ulong Offered, ulong Open) Query(VirtualProcessor processor) =>
        (processor.Invoke(Hypercall.QueryBus, 0), processor.State.Rbx, processor.State.Rcx);
}
