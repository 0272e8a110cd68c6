using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.Guest.Kernel.Shunt.AtRegisters;

/// <summary>The order of commands on both paths, and what the registers show of them.</summary>
public sealed class RegisterShuntTests
{
    private const ulong A = AhciMachine.Data;

    [Fact]
    public void An_issued_command_takes_the_ring_path_and_touches_no_register_of_the_controller()
    {
        using var machine = new ShuntedAhciMachine(new MemoryPortDriver(1 << 20));
        machine.Start();
        machine.Memory.GetSpan(A, 4096).Fill(0x5A);
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.WriteDmaExt, 8, 8), (A, 4096));
        var before = machine.Registers.Accesses;
        machine.Issue(1);
        AhciMachine.WaitUntil(() => machine.Issued == 0);
        Assert.Equal(before, machine.Registers.Accesses);
        Assert.Equal((1, 1), (machine.Path.Submitted, machine.Shunt.Diverted));
        Assert.Equal(4096u, machine.Prdbc());
    }

    [Fact]
    public void In_emulating_mode_the_controller_executes_every_command()
    {
        using var machine = new ShuntedAhciMachine(new MemoryPortDriver(1 << 20), diverting: false);
        machine.Start();
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 8), (A, 4096)));
        Assert.Equal((0, 1L), (machine.Path.Submitted, machine.Shunt.Passed));
    }

    [Fact]
    public void Commands_issued_with_one_write_reach_the_controller_with_one_write()
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
    public void A_command_stays_on_its_path_when_the_mode_changes_and_the_next_takes_the_new_path()
    {
        using var machine = new ShuntedAhciMachine(new MemoryPortDriver(1 << 20));
        machine.Start();
        machine.Path.Hold();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 1), (A, 512));
        machine.Prepare(1, AhciMachine.Fis(AtaCommand.ReadDmaExt, 64, 1), (A + 4096, 512));
        machine.Issue(1);
        machine.Shunt.PassDown();
        machine.Issue(2);
        // In emulating mode the shunt reads no command: the new one may depend on the first.
        Assert.Equal((0b11u, 0L), (machine.Issued, machine.Shunt.Passed));
        machine.Path.Resume();
        AhciMachine.WaitUntil(() => machine.Issued == 0);
        Assert.Equal((1L, 1L), (machine.Shunt.Diverted, machine.Shunt.Passed));
    }

    [Fact]
    public void The_controller_executes_commands_that_a_lost_ring_rejects()
    {
        using var machine = new ShuntedAhciMachine(new MemoryPortDriver(1 << 20));
        machine.Start();
        machine.Memory.GetSpan(A, 512).Fill(0x77);
        machine.Path.Hold();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.WriteDmaExt, 5, 1), (A, 512));
        machine.Issue(1);
        machine.Path.Lose();
        machine.Path.Resume();
        AhciMachine.WaitUntil(() => machine.Issued == 0);
        Assert.Equal((1, 0L, 1L), (machine.Path.Submitted, machine.Shunt.Diverted, machine.Shunt.Passed));
        machine.Shunt.PassDown();
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 5, 1), (A + 4096, 512)) & PortInterrupt.DHRS);
        Assert.Equal(machine.Memory.GetSpan(A, 512), machine.Memory.GetSpan(A + 4096, 512));
    }

    [Fact]
    public void A_flush_waits_for_earlier_writes_on_either_path()
    {
        using var machine = new ShuntedAhciMachine(new MemoryPortDriver(1 << 20));
        machine.Start();
        machine.Path.Hold();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.WriteDmaExt, 5, 1), (A, 512));
        machine.Prepare(1, AhciMachine.Fis(AtaCommand.FlushCacheExt));
        machine.Issue(1);
        machine.Shunt.PassDown();
        machine.Issue(2);
        Assert.Equal(0b11u, machine.Issued);
        machine.Path.Resume();
        AhciMachine.WaitUntil(() => machine.Issued == 0);
        Assert.Equal((1L, 1L), (machine.Shunt.Diverted, machine.Shunt.Passed));
    }

    [Fact]
    public void A_command_does_not_wait_for_one_whose_completion_the_driver_saw_in_memory()
    {
        using var machine = new ShuntedAhciMachine(new MemoryPortDriver(1 << 20), diverting: false);
        machine.Start();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.WriteDmaExt, 5, 1), (A, 512));
        machine.Issue(1);
        AhciMachine.WaitUntil(() => machine.Levels.Length == 1);
        machine.Divert();
        machine.Prepare(1, AhciMachine.Fis(AtaCommand.ReadDmaExt, 5, 1), (A + 4096, 512));
        machine.Issue(2);
        Assert.Equal((1, 1L), (machine.Path.Submitted, machine.Shunt.Passed));
    }

    [Fact]
    public void A_command_unknown_to_the_shunt_traps_in_order_with_the_others()
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

    [Fact]
    public void A_shunt_that_is_inserted_adopts_the_ports_registers_and_commands_in_flight()
    {
        var port = new GatedPortDriver(1 << 20);
        using var machine = new ShuntedAhciMachine(port, inserted: false);
        machine.Start();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.WriteDmaExt, 0, 1), (A, 512));
        machine.Issue(1);
        port.AwaitOperation();

        machine.Insert();
        machine.Prepare(1, AhciMachine.Fis(AtaCommand.ReadDmaExt, 64, 1), (A + 4096, 512));
        machine.Issue(2);
        // The shunt does not know the adopted command, so the read waits for it.
        Assert.Equal((0b11u, 0), (machine.Issued, machine.Path.Submitted));
        port.Open(2);
        AhciMachine.WaitUntil(() => machine.Issued == 0);
        Assert.Equal((1L, 0L), (machine.Shunt.Diverted, machine.Shunt.Passed));
        // Reported where the adopted PxCLB and PxFB point.
        Assert.Equal(512u, machine.Prdbc(1));
        Assert.Equal(AtaStatus.Ready, machine.ReceivedRegisters().Status);
    }
}
