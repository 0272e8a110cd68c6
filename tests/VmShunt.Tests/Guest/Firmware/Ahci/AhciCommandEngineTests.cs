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
        Assert.Equal((0u, PortInterrupt.None), (port.Acknowledge(0b1111, isAlone: false, out var errors), errors));
        Assert.True(port.HasMoved(3, 512));
        Assert.False(port.HasMoved(3, 1024));
        Assert.False(machine.Controller.InterruptLevel);
    }

    [Fact]
    public void A_command_issued_alone_is_acknowledged_without_a_register_read()
    {
        using var machine = new AhciMachine(new MemoryPortDriver(1 << 20));
        var mmio = new ControllerMmio(machine.Controller, Abar);
        var port = Started(machine, mmio);
        for (var round = 0; round < 3; round++)
        {
            port.PrepareRead(round, (ulong)round, Data, 512);
            var before = (mmio.Reads, mmio.Accesses);
            port.IssueAlone(round);
            AhciMachine.WaitUntil(() => machine.Controller.InterruptLevel);
            Assert.Equal((0u, PortInterrupt.None), (port.Acknowledge(1u << round, isAlone: true, out var errors), errors));
            Assert.Equal((0, 3), (mmio.Reads - before.Reads, mmio.Accesses - before.Accesses));
            Assert.False(machine.Controller.InterruptLevel);
        }
    }

    [Fact]
    public void An_interrupt_before_its_completion_completes_nothing()
    {
        using var disk = new GatedPortDriver(1 << 20);
        using var machine = new AhciMachine(disk);
        var port = Started(machine);
        port.PrepareRead(0, 0, Data, 512);
        port.IssueAlone(0);
        disk.AwaitOperation();
        Assert.Equal((1u, PortInterrupt.None), (port.Acknowledge(1, isAlone: true, out var errors), errors));
        disk.Open();
        AhciMachine.WaitUntil(() => port.Running == 0);
        Assert.Equal(0u, port.Acknowledge(1, isAlone: true, out _));
        // The FIS of the last command is none of the next one's.
        port.IssueAlone(0);
        disk.AwaitOperation();
        Assert.Equal(1u, port.Acknowledge(1, isAlone: true, out _));
        disk.Open();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_failed_command_is_an_error_of_the_acknowledgement_and_interrupts_again_behind_a_completion(bool alone)
    {
        using var machine = new AhciMachine(new BadSectorPortDriver(1 << 20, badFrom: 1000 * 512));
        var port = Started(machine);
        port.PrepareRead(0, 0, Data, 512);
        port.PrepareRead(1, 1000, Data, 512);
        if (alone) port.IssueAlone(1);
        else port.Issue(0b11);
        AhciMachine.WaitUntil(() => (port.Status & AhciCommandEngine.FatalErrors) != 0);
        if (!alone)
        {
            Assert.Equal((0b10u, PortInterrupt.None), (port.Acknowledge(0b11, isAlone: false, out var none), none));
            // The error's bit was left set: a new message follows.
            Assert.True(machine.Controller.InterruptLevel);
            Assert.Equal([true, false, true], machine.Levels.TakeLast(3));
        }
        Assert.Equal((0b10u, PortInterrupt.TFES), (port.Acknowledge(0b10, alone, out var errors), errors));
        Assert.Equal(1, port.Recover());
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

    private static AhciCommandEngine Started(AhciMachine machine, ControllerMmio? mmio = null)
    {
        var port = new AhciCommandEngine(mmio ?? new ControllerMmio(machine.Controller, Abar), new AhciHba(1, Abar), machine.Memory, Memory, Slots);
        port.Reset();
        port.EnableInterrupt();
        return port;
    }
}
