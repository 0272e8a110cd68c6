using VmShunt.Guest.Emulating;
using VmShunt.Guest.Firmware.Machine;

namespace VmShunt.Tests.Guest.Kernel.Emulating;

/// <summary>The path to the registers, without and with a layer.</summary>
public class RegisterPathTests
{
    private const ulong Abar = 0xF000_0000;

    [Fact]
    public void Without_a_layer_each_access_reaches_the_machine_once_and_unchanged()
    {
        var machine = new RecordingMmio();
        var path = new RegisterPath(machine, static () => { });
        path.Write(Abar + 4, 4, 0x8000_0002);
        Assert.Equal(0x1122_3344_5566_7788UL, path.Read(Abar + 8, 8));
        path.Write(Abar + 1, 1, 0xFF);
        Assert.Equal(["write f0000004 4 80000002", "read f0000008 8", "write f0000001 1 ff"], machine.Accesses);
    }

    [Fact]
    public void With_a_layer_each_access_and_interrupt_passes_the_layer()
    {
        var machine = new RecordingMmio();
        var interrupts = 0;
        var path = new RegisterPath(machine, () => interrupts++);
        var layer = new PassThroughLayer(machine, () => interrupts += 100);
        path.HandleInterrupt();
        path.Exchange(layer);
        path.Read(Abar, 4);
        path.HandleInterrupt();
        path.Exchange(null);
        path.Read(Abar, 4);
        path.HandleInterrupt();
        Assert.Equal((1, 2, 102), (layer.Accesses, machine.Accesses.Count, interrupts));
    }

    [Fact]
    public async Task AwaitHandlers_returns_after_a_handler_that_runs_without_the_new_layer()
    {
        using var inside = new SemaphoreSlim(0);
        using var go = new SemaphoreSlim(0);
        var path = new RegisterPath(new RecordingMmio(), () =>
        {
            inside.Release();
            go.Wait();
        });
        var handler = Task.Run(path.HandleInterrupt);
        Assert.True(await inside.WaitAsync(TimeSpan.FromSeconds(60)));
        path.Exchange(new PassThroughLayer(new RecordingMmio(), static () => { }));
        var wait = Task.Run(path.AwaitHandlers);
        Assert.NotSame(wait, await Task.WhenAny(wait, Task.Delay(20)));
        go.Release();
        await Task.WhenAll(handler, wait).WaitAsync(TimeSpan.FromSeconds(60));
    }

    private sealed class RecordingMmio : IMmio
    {
        internal List<string> Accesses { get; } = [];

        public ulong Read(ulong address, int size)
        {
            Accesses.Add($"read {address:x} {size}");
            return 0x1122_3344_5566_7788;
        }

        public void Write(ulong address, int size, ulong value) => Accesses.Add($"write {address:x} {size} {value:x}");
    }
}
