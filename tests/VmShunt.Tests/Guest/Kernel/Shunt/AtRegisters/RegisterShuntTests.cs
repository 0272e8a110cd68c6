using VmShunt.HostPartition.Disk;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.Guest.Kernel.Shunt.AtRegisters;

/// <summary>What only a shunt at the registers can do wrong.</summary>
public sealed class RegisterShuntTests
{
    private const ulong A = AhciMachine.Data;

    [Fact]
    public void A_whole_command_that_is_issued_takes_the_road_and_touches_no_register_of_the_controller()
    {
        using var machine = new ShuntedAhciMachine(new MemoryPortDriver(1 << 20));
        machine.Start();
        machine.Memory.GetSpan(A, 4096).Fill(0x5A);
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.WriteDmaExt, 8, 8), (A, 4096));
        var before = machine.Registers.Accesses;
        machine.Issue(1);
        AhciMachine.WaitUntil(() => machine.Issued == 0);
        Assert.Equal(before, machine.Registers.Accesses);
        Assert.Equal((1, 1), (machine.Road.Taken, machine.Shunt.Diverted));
        Assert.Equal(4096u, machine.Prdbc());
    }

    [Fact]
    public void In_emulating_mode_every_command_is_the_controllers()
    {
        using var machine = new ShuntedAhciMachine(new MemoryPortDriver(1 << 20), diverting: false);
        machine.Start();
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 8), (A, 4096)));
        Assert.Equal((0, 1L), (machine.Road.Taken, machine.Shunt.Passed));
    }

    [Fact]
    public void Commands_that_are_issued_together_reach_the_controller_together()
    {
        using var machine = new ShuntedAhciMachine(new MemoryPortDriver(1 << 20), diverting: false);
        machine.Start();
        for (var slot = 0; slot < 32; slot++) machine.Prepare(slot, AhciMachine.Fis(AtaCommand.ReadDmaExt, (ulong)slot, 1), (A + (ulong)slot * 4096, 512));
        var before = machine.Registers.Accesses;
        machine.Issue(uint.MaxValue);
        Assert.Equal((before + 1, 32L), (machine.Registers.Accesses, machine.Shunt.Passed));
        AhciMachine.WaitUntil(() => machine.Issued == 0);
    }

    [Fact]
    public void A_command_stays_where_it_is_when_the_mode_changes_and_the_next_takes_the_new_way()
    {
        using var machine = new ShuntedAhciMachine(new MemoryPortDriver(1 << 20));
        machine.Start();
        machine.Road.Hold();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 1), (A, 512));
        machine.Prepare(1, AhciMachine.Fis(AtaCommand.ReadDmaExt, 64, 1), (A + 4096, 512));
        machine.Issue(1);
        machine.Shunt.PassDown();
        machine.Issue(2);
        // In emulating mode no command is looked into: the new one may depend on the one before.
        Assert.Equal((0b11u, 0L), (machine.Issued, machine.Shunt.Passed));
        machine.Road.LetGo();
        AhciMachine.WaitUntil(() => machine.Issued == 0);
        Assert.Equal((1L, 1L), (machine.Shunt.Diverted, machine.Shunt.Passed));
    }

    [Fact]
    public void What_is_on_a_road_that_is_lost_is_done_by_the_controller()
    {
        using var machine = new ShuntedAhciMachine(new MemoryPortDriver(1 << 20));
        machine.Start();
        machine.Memory.GetSpan(A, 512).Fill(0x77);
        machine.Road.Hold();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.WriteDmaExt, 5, 1), (A, 512));
        machine.Issue(1);
        machine.Road.Lose();
        machine.Road.LetGo();
        AhciMachine.WaitUntil(() => machine.Issued == 0);
        Assert.Equal((1, 0L, 1L), (machine.Road.Taken, machine.Shunt.Diverted, machine.Shunt.Passed));
        machine.Shunt.PassDown();
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 5, 1), (A + 4096, 512)) & PortInterrupt.DHRS);
        Assert.Equal(machine.Memory.GetSpan(A, 512), machine.Memory.GetSpan(A + 4096, 512));
    }

    [Fact]
    public void A_flush_waits_for_the_writes_before_it_whichever_road_they_took()
    {
        using var machine = new ShuntedAhciMachine(new MemoryPortDriver(1 << 20));
        machine.Start();
        machine.Road.Hold();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.WriteDmaExt, 5, 1), (A, 512));
        machine.Prepare(1, AhciMachine.Fis(AtaCommand.FlushCacheExt));
        machine.Issue(1);
        machine.Shunt.PassDown();
        machine.Issue(2);
        Assert.Equal(0b11u, machine.Issued);
        machine.Road.LetGo();
        AhciMachine.WaitUntil(() => machine.Issued == 0);
        Assert.Equal((1L, 1L), (machine.Shunt.Diverted, machine.Shunt.Passed));
    }

    [Fact]
    public void A_command_that_only_the_controller_knows_passes_and_is_in_order_with_the_others()
    {
        using var machine = new ShuntedAhciMachine(new MemoryPortDriver(1 << 20));
        machine.Start();
        machine.Divert(RequestTypes.Data);
        machine.Identify();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.WriteDmaExt, 5, 1), (A, 512));
        machine.Prepare(1, AhciMachine.Fis(AtaCommand.FlushCacheExt));
        machine.Prepare(2, AhciMachine.Fis(AtaCommand.ReadDmaExt, 5, 1), (A + 4096, 512));
        machine.Issue(0b111);
        AhciMachine.WaitUntil(() => machine.Issued == 0);
        Assert.Equal((2L, 2L), (machine.Shunt.Diverted, machine.Shunt.Passed));
        Assert.Equal(0, machine.Shunt.Repeated);
    }
}
