using VmShunt.BlockBackend.Disk;
using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.Guest.Firmware.Ahci;

/// <summary>The driver core that the polled and the interrupt-driven driver share.</summary>
public class AhciCommandEngineTests
{
    private const ulong Abar = 0xF000_0000, Memory = 0x8000, Data = AhciMachine.Data;
    private const int Slots = 4;

    [Fact]
    public void Commands_issued_together_complete_and_the_interrupt_is_acknowledged_once()
    {
        using var machine = new AhciMachine(new MemoryPortDriver(1 << 20));
        var port = Started(machine);
        for (var slot = 0; slot < Slots; slot++) port.PrepareRead(slot, (ulong)slot, Data + (ulong)slot * 4096, 512);
        port.Issue(0b1111);
        AhciMachine.WaitUntil(() => port.Running == 0);
        Assert.True(machine.Controller.InterruptLevel);
        port.Acknowledge();
        Assert.Equal((PortInterrupt.None, false), (port.Status, machine.Controller.InterruptLevel));
        Assert.True(port.HasMoved(3, 512));
        Assert.False(port.HasMoved(3, 1024));
    }

    [Fact]
    public void An_error_stays_in_PxIS_and_raises_the_interrupt_again_when_completions_are_acknowledged()
    {
        using var machine = new AhciMachine(new BadSectorPortDriver(1 << 20, badFrom: 1000 * 512));
        var port = Started(machine);
        port.PrepareRead(0, 1000, Data, 512);
        port.Issue(1);
        AhciMachine.WaitUntil(() => machine.Controller.InterruptLevel);
        port.Acknowledge();
        Assert.Equal(PortInterrupt.TFES, port.Status);
        Assert.Equal([true, false, true], machine.Levels);
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(1000, false)]
    public void A_command_issued_alone_is_known_to_be_complete_from_its_FIS_unless_it_failed(ulong sector, bool works)
    {
        using var machine = new AhciMachine(new BadSectorPortDriver(1 << 20, badFrom: 1000 * 512));
        var port = Started(machine);
        port.ExpectReport();
        Assert.False(port.HasReport);
        port.PrepareRead(0, sector, Data, 512);
        port.Issue(1);
        AhciMachine.WaitUntil(() => machine.Controller.InterruptLevel);
        Assert.Equal(works, port.HasReport);
        port.ExpectReport();
        Assert.False(port.HasReport);
    }

    [Fact]
    public void Recovery_names_the_failed_slot_and_the_others_can_be_issued_again()
    {
        using var machine = new AhciMachine(new BadSectorPortDriver(1 << 20, badFrom: 1000 * 512));
        var port = Started(machine);
        port.PrepareRead(0, 0, Data, 512);
        port.PrepareRead(1, 1000, Data, 512);
        port.PrepareRead(2, 2, Data, 512);
        port.Issue(0b001);
        port.Issue(0b010);
        port.Issue(0b100);
        AhciMachine.WaitUntil(() => (port.Status & AhciCommandEngine.FatalErrors) != 0);
        Assert.Equal(0b110u, port.Running);
        Assert.Equal(1, port.Recover());
        Assert.Equal(0u, port.Running);
        port.Issue(0b100);
        AhciMachine.WaitUntil(() => port.Running == 0);
        Assert.True(port.HasMoved(2, 512));
    }

    [Fact]
    public void A_trim_longer_than_one_range_is_split_and_discards_every_sector()
    {
        const int sectors = 65535 + 100;
        var disk = new RecordingPortDriver(40 << 20);
        using var machine = new AhciMachine(disk);
        var port = Started(machine);
        disk.ClearRequests();
        port.PrepareTrim(Slots - 1, 8, sectors);
        port.Issue(1u << Slots - 1);
        AhciMachine.WaitUntil(() => port.Running == 0);
        Assert.Equal(["discard 8+65535", "discard 65543+100"], disk.Requests);
    }

    [Fact]
    public void A_write_with_a_repeated_buffer_fills_the_whole_range()
    {
        using var machine = new AhciMachine(new MemoryPortDriver(1 << 20));
        var port = Started(machine);
        machine.Memory.GetSpan(Data, 1024).Fill(0x42);
        port.PrepareWrite(0, 16, Data, 4096, repeat: 1024);
        port.Issue(1);
        AhciMachine.WaitUntil(() => port.Running == 0);
        port.PrepareRead(0, 16, Data + 0x10000, 4096);
        port.Issue(1);
        AhciMachine.WaitUntil(() => port.Running == 0);
        Assert.Equal(-1, machine.Memory.GetSpan(Data + 0x10000, 4096).IndexOfAnyExcept((byte)0x42));
    }

    private static AhciCommandEngine Started(AhciMachine machine)
    {
        var port = new AhciCommandEngine(new ControllerMmio(machine.Controller, Abar), new AhciHba(1, Abar), machine.Memory, Memory, Slots);
        port.Reset();
        port.EnableInterrupt();
        return port;
    }
}
