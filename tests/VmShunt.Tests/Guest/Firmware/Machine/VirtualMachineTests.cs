using VmShunt.Guest.Firmware.Machine;
using VmShunt.Tests.Trap.VmExit;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.Guest.Firmware.Machine;

/// <summary>A machine over a hypervisor: what its processors do leaves as VM exits.</summary>
public class VirtualMachineTests
{
    [Fact]
    public void Each_instruction_of_a_processor_is_one_exit_with_its_operands()
    {
        var exits = new List<ExitRecord>();
        using var hypervisor = new ScriptedHypervisor((channel, exit) =>
        {
            exits.Add(exit);
            exit.State.Rax = exit.Reason == ExitReason.MmioRead ? 0x55ul : 0;
            channel.Resume(exit, exit.State, exit.Reason == ExitReason.Halt ? 32u : 0, null);
            return true;
        });
        using var partition = GuestPartition.Create(hypervisor.Path, 0x10000, 1);
        var machine = new VirtualMachine(partition);
        var processor = machine.StartProcessor(0);
        Assert.Equal(0x55ul, processor.Read(0xF000_0000, 4));
        processor.Write(0xF000_0004, 4, 0xAB);
        Assert.Equal(32, processor.Halt());
        Assert.Equal(HypercallStatus.Success, processor.Call(Hypercall.QueryBus, 3));
        Assert.Equal([ExitReason.MmioRead, ExitReason.MmioWrite, ExitReason.Halt, ExitReason.Hypercall], exits.Select(static exit => exit.Reason));
        Assert.Equal((0xF000_0004ul, 0xABul), (exits[1].Address, exits[1].State.Rax));
        Assert.Equal((Hypercall.QueryBus, 3ul), (exits[3].State.Rcx, exits[3].State.Rdx));
    }

    [Fact]
    public void Powering_off_is_a_hypercall_of_processor_0()
    {
        ExitRecord seen = default;
        using var hypervisor = new ScriptedHypervisor((channel, exit) =>
        {
            seen = exit;
            channel.Resume(exit, exit.State);
            return true;
        });
        using var partition = GuestPartition.Create(hypervisor.Path, 0x10000, 1);
        var machine = new VirtualMachine(partition);
        machine.StartProcessor(0);
        machine.PowerOff();
        Assert.Equal((ExitReason.Hypercall, Hypercall.PowerOff), (seen.Reason, seen.State.Rcx));
    }

    [Fact]
    public void Powering_off_succeeds_when_the_hypervisor_has_exited_or_no_processor_runs()
    {
        using var hypervisor = new ScriptedHypervisor(static (_, _) => false);
        using var partition = GuestPartition.Create(hypervisor.Path, 0x10000, 1);
        var machine = new VirtualMachine(partition);
        machine.PowerOff();
        machine.StartProcessor(0);
        machine.PowerOff();
    }

    [Fact]
    public void The_machine_has_the_memory_and_addresses_of_its_partition()
    {
        using var hypervisor = new ScriptedHypervisor(static (_, _) => false);
        using var partition = GuestPartition.Create(hypervisor.Path, 0x10000, 1);
        var machine = new VirtualMachine(partition);
        Assert.Equal((0x10000ul, GuestLayout.EcamAddress), (machine.RamBytes, machine.EcamAddress));
        Assert.Equal((GuestLayout.CrashReserveAddress, GuestLayout.CrashReserveBytes), (machine.CrashReserveAddress, machine.CrashReserveBytes));
        Assert.Same(partition.Memory, machine.Memory);
        Assert.Equal(0x10000ul, Assert.Single(machine.Parts).Size);
    }
}
