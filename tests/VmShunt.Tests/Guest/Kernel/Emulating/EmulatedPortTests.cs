using VmShunt.BlockBackend.Disk;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.Guest.Kernel.Emulating;

/// <summary>Who drives the port, where requests go without a driver, and the exchange of layers below the driver.</summary>
public class EmulatedPortTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task Requests_are_held_until_the_port_has_a_driver()
    {
        using var machine = new PortMachine(new MemoryPortDriver(1 << 20));
        var flush = machine.Disk.FlushAsync().AsTask();
        var read = machine.Disk.ReadAsync(0, machine.Pages.Allocate(512)).AsTask();
        Assert.False(machine.Port.IsDriven || flush.IsCompleted || read.IsCompleted);
        machine.Port.Drive(machine.NewDriver());
        await Task.WhenAll(flush, read).WaitAsync(s_limit);
        await Task.Yield();
        Assert.Equal(2, machine.Disk.Counters.Trapped);
    }

    [Fact]
    public async Task Requests_take_the_detour_while_the_port_has_no_driver()
    {
        using var machine = new PortMachine(new MemoryPortDriver(1 << 20));
        var detour = new RecordingDriver(completesAtOnce: true);
        var held = machine.Disk.FlushAsync().AsTask();
        machine.Port.Detour(detour);
        await held.WaitAsync(s_limit);
        machine.Port.Drive(machine.NewDriver());
        await machine.Disk.FlushAsync();
        await Task.Yield();
        Assert.Single(detour.Operations);
    }

    [Fact]
    public async Task A_release_waits_for_requests_in_flight()
    {
        var gate = new GatedPortDriver(1 << 20);
        using var machine = new PortMachine(gate);
        machine.Port.Drive(machine.NewDriver());
        var read = machine.Disk.ReadAsync(0, machine.Pages.Allocate(512)).AsTask();
        gate.AwaitOperation();
        var release = Task.Run(machine.Port.Release);
        Assert.NotSame(release, await Task.WhenAny(release, Task.Delay(20)));
        Assert.False(read.IsCompleted);
        gate.Open();
        await read.WaitAsync(s_limit);
        await release.WaitAsync(s_limit);
        Assert.False(machine.Port.IsDriven);
    }

    [Fact]
    public void A_second_driver_is_refused()
    {
        using var machine = new PortMachine(new MemoryPortDriver(1 << 20));
        var driver = machine.NewDriver();
        machine.Port.Drive(driver);
        Assert.Throws<InvalidOperationException>(() => machine.Port.Drive(driver));
        Assert.Equal("SER0123456789", machine.Port.Geometry.Serial);
    }

    [Fact]
    public async Task An_exchange_of_layers_waits_for_commands_in_flight_and_holds_later_requests()
    {
        var gate = new GatedPortDriver(1 << 20);
        using var machine = new PortMachine(gate);
        machine.Port.Drive(machine.NewDriver());
        var (inFlight, issued) = (-1L, uint.MaxValue);
        Task? later = null;
        var layer = new PassThroughLayer(machine.Registers, machine.Port.HandleInterrupt)
        {
            OnAdopt = () =>
            {
                inFlight = machine.Disk.Counters.InFlight;
                later = machine.Disk.ReadAsync(8, machine.Pages.Allocate(512)).AsTask();
                issued = (uint)machine.Registers.Read(PortMachine.Abar + (ulong)HbaRegister.OfPort(0, PortRegister.PxCI), 4);
            },
        };
        var first = machine.Disk.ReadAsync(0, machine.Pages.Allocate(512)).AsTask();
        gate.AwaitOperation();
        var exchange = Task.Run(() => machine.Port.Exchange(layer));
        gate.Open(100);
        await exchange.WaitAsync(s_limit);
        await Task.WhenAll(first, later!).WaitAsync(s_limit);
        await Task.Yield();
        Assert.Equal((0L, 0u), (inFlight, issued));
        Assert.Same(layer, machine.Port.Registers.Layer);
        Assert.Equal((1, 0), (layer.Adopted, layer.Retired));
        Assert.NotEqual(0, layer.Accesses);
    }

    [Fact]
    public void A_layer_can_be_exchanged_while_the_port_has_no_driver()
    {
        using var machine = new PortMachine(new MemoryPortDriver(1 << 20));
        var layer = new PassThroughLayer(machine.Registers, machine.Port.HandleInterrupt);
        machine.Port.Exchange(layer);
        machine.Port.Exchange(null);
        Assert.Null(machine.Port.Registers.Layer);
        Assert.Equal((1, 1), (layer.Adopted, layer.Retired));
    }

    [Fact]
    public async Task Layers_exchanged_under_load_lose_repeat_and_fail_no_request()
    {
        using var machine = new PortMachine(new MemoryPortDriver(1 << 20));
        machine.Port.Drive(machine.NewDriver());
        await new PortLoad(machine.Disk, machine.Pages).RunWhile(seed =>
        {
            var random = new Random(seed);
            for (var i = 0; i < 60; i++)
            {
                machine.Port.Exchange(random.Next(2) == 0 ? null : new PassThroughLayer(machine.Registers, machine.Port.HandleInterrupt));
                SpinWait.SpinUntil(static () => false, random.Next(4));
            }
        });
    }
}
