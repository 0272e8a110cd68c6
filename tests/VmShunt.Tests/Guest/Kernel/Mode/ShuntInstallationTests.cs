using VmShunt.BlockBackend.Disk;
using VmShunt.Guest.Mode;
using VmShunt.Guest.Shunt.Modes;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Guest.Kernel.Emulating;
using VmShunt.Tests.Guest.Kernel.Machine;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.Guest.Kernel.Mode;

/// <summary>Each kind of shunt at each position, and the exchange of one for another while requests run.</summary>
public class ShuntInstallationTests
{
    public static TheoryData<string, string> Kinds()
    {
        var kinds = new TheoryData<string, string>();
        foreach (var source in ShuntNames.Sources)
        {
            foreach (var position in ShuntNames.Positions) kinds.Add(source.Name, position.Name);
        }
        return kinds;
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Every_kind_of_shunt_diverts_in_enlightened_mode_and_passes_down_otherwise(string source, string position)
    {
        using var guest = new InProcessGuest(new MemoryPortDriver(1 << 20));
        guest.Machine.IsOffered = true;
        guest.Mode.Configure(Options(source, position));
        var buffer = guest.Pages.Allocate(4096);
        foreach (var mode in (GuestMode[])[GuestMode.Emulating, GuestMode.Enlightened, GuestMode.Emulating])
        {
            guest.Mode.Change(mode);
            var (counters, enlightened) = (guest.Counters, guest.Mode.Shunt.Counters.Diverted);
            await guest.Disk.ReadAsync(0, buffer);
            await Task.Yield();
            var isDiverted = mode == GuestMode.Enlightened;
            Assert.Equal(isDiverted, guest.Mode.Shunt.Counters.Diverted > enlightened);
            Assert.Equal(isDiverted ? 0 : 1, guest.Counters.Trapped - counters.Trapped);
            Assert.Equal(0, guest.Counters.Failed);
        }
        Assert.Equal((source, position), (ShuntNames.Of(guest.Mode.Shunt.Options.Source), ShuntNames.Of(guest.Mode.Shunt.Options.Position)));
    }

    [Fact]
    public void By_default_the_shunt_is_between_class_driver_em_and_port_driver_em()
    {
        using var guest = new InProcessGuest(new MemoryPortDriver(1 << 20));
        var layers = guest.Emulated.Layers;
        Assert.Null(layers.Above);
        Assert.NotSame(guest.Emulated.Port, layers.Lower);
        Assert.Null(guest.Mode.Shunt.AtRegisters);
    }

    [Fact]
    public async Task Unless_below_port_is_chosen_there_is_no_register_shunt_and_accesses_reach_the_machine_one_to_one()
    {
        using var guest = new InProcessGuest(new MemoryPortDriver(1 << 20));
        guest.Machine.IsOffered = true;
        foreach (var position in (ShuntPosition[])[ShuntPosition.BelowClass, ShuntPosition.AboveClass])
        {
            guest.Mode.Configure(ShuntOptions.Default with { Position = position });
            guest.Mode.Change(GuestMode.Enlightened);
            guest.Mode.Change(GuestMode.Emulating);
            await guest.Disk.FlushAsync();
            await Task.Yield();
        }
        Assert.Null(guest.Mode.Shunt.AtRegisters);
        Assert.Null(guest.Emulated.Registers.Layer);
        Assert.False(guest.Emulated.Registers.HasShunt);
        // The interrupt handler of the last flush may still access registers.
        guest.Emulated.LeavePort();
        var before = guest.Machine.Accesses;
        for (var i = 0; i < 50; i++)
        {
            guest.Emulated.Registers.Read(InProcessMachine.Abar + HbaRegister.GHC, 4);
            guest.Emulated.Registers.Write(InProcessMachine.Abar + HbaRegister.IS, 4, 0);
        }
        Assert.Equal(before + 100, guest.Machine.Accesses);
    }

    [Fact]
    public async Task The_register_shunt_exists_while_its_position_is_chosen()
    {
        using var guest = new InProcessGuest(new MemoryPortDriver(1 << 20));
        guest.Machine.IsOffered = true;
        guest.Mode.Change(GuestMode.Enlightened);
        guest.Mode.Configure(ShuntOptions.Default with { Position = ShuntPosition.BelowPort });
        var shunt = guest.Mode.Shunt.AtRegisters;
        Assert.NotNull(shunt);
        Assert.Same(shunt, guest.Emulated.Registers.Layer);
        await guest.Disk.WriteAsync(0, guest.Pages.Allocate(512));
        await Task.Yield();
        Assert.Equal((1L, 0L), (shunt.Diverted, shunt.Passed));
        guest.Mode.Configure(ShuntOptions.Default);
        Assert.Null(guest.Mode.Shunt.AtRegisters);
        Assert.Null(guest.Emulated.Registers.Layer);
    }

    [Fact]
    public async Task Positions_exchanged_under_load_lose_repeat_and_fail_no_request()
    {
        using var guest = new InProcessGuest(new MemoryPortDriver(1 << 20));
        guest.Machine.IsOffered = true;
        guest.Mode.Change(GuestMode.Enlightened);
        await new PortLoad(guest.Disk, guest.Pages).RunWhile(seed =>
        {
            var random = new Random(seed);
            for (var i = 0; i < 40; i++)
            {
                var position = random.Next(2) == 0 ? ShuntPosition.BelowPort : (ShuntPosition)random.Next(2);
                var source = (ModeSource)random.Next(5);
                if (random.Next(4) == 0) guest.Mode.Change((GuestMode)random.Next(3));
                else if (random.Next(6) == 0 && guest.Mode.Mode != GuestMode.Emulating) LoseAndSettle(guest);
                else guest.Mode.Configure(ShuntOptions.Default with { Position = position, Source = source });
                SpinWait.SpinUntil(static () => false, random.Next(6));
            }
            guest.Mode.Configure(ShuntOptions.Default with { Position = ShuntPosition.BelowPort });
            Assert.Equal(0, guest.Mode.Shunt.AtRegisters!.Repeated);
            guest.Mode.Configure(ShuntOptions.Default);
        });
        Assert.Null(guest.Emulated.Registers.Layer);
    }

    [Fact]
    public void What_is_primary_follows_the_options()
    {
        using var guest = new InProcessGuest(new MemoryPortDriver(1 << 20));
        guest.Mode.Configure(ShuntOptions.Default with { Criterion = PrimaryCriterion.Importance, Primary = RequestTypes.Flush });
        Assert.Equal((PrimaryCriterion.Importance, RequestTypes.Flush), (guest.Mode.Shunt.Criterion, guest.Mode.Shunt.PrimaryNow));
        guest.Mode.Configure(ShuntOptions.Default with { Criterion = PrimaryCriterion.Frequency });
        Assert.Equal(RequestTypes.None, guest.Mode.Shunt.PrimaryNow);
    }

    private static void LoseAndSettle(InProcessGuest guest)
    {
        guest.LoseBus();
        Assert.True(guest.Mode.Settle());
    }

    private static ShuntOptions Options(string source, string position) => ShuntOptions.Default with
    {
        Source = ShuntNames.Sources.Single(s => s.Name == source).Source,
        Position = ShuntNames.Positions.Single(p => p.Name == position).Position,
    };
}
