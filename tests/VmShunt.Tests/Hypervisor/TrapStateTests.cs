using VmShunt.Tests.Trap.VfioUser;
using VmShunt.Trap.VfioUser;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.Hypervisor;

/// <summary><c>--trap-state full</c>: the real hypervisor and a VM-H that decides about a suspended processor, honestly or not.</summary>
public sealed class TrapStateTests : IDisposable
{
    private const ulong Register = GuestLayout.BarAddress + 0x40;

    private readonly string _socket = RunningHypervisor.NewSocket();
    private readonly List<IDisposable> _running = [];

    public void Dispose()
    {
        foreach (var one in Enumerable.Reverse(_running)) one.Dispose();
    }

    [Fact]
    public void An_access_carries_registers_and_identity_of_its_processor_and_the_answer_restarts_it()
    {
        var host = Start(static trap => trap.Send(trap.Good(0x1234_5678)));
        using var partition = GuestPartition.Create(_socket, 1 << 20, 2);
        using var first = partition.StartProcessor(0);
        using var processor = partition.StartProcessor(1);
        processor.State = new ProcessorState { Rax = 1, Rbx = 2, Rcx = 3, Rsi = 5, Rdi = 6, Rbp = 7, Rsp = 8, R8 = 9, R15 = 16, Rip = 0x1000, Rflags = 0x202 };
        var before = processor.State;
        Assert.Equal(0x1234_5678ul, processor.ReadMmio(Register, 4));
        Assert.Equal(before with { Rax = 0x1234_5678, Rdx = Register, Rip = 0x1002 }, processor.State);
        processor.WriteMmio(Register + 4, 2, 0xABCD);
        Assert.Equal(0x1005ul, processor.State.Rip);

        var (load, store) = (host.Accesses.First(), host.Accesses.Last());
        Assert.Equal(((uint)partition.Id, 1u, 1u, ExitReason.MmioRead), (load.Partition, load.Processor, load.Sequence, load.Reason));
        Assert.Equal((5u, 0x40ul, 4u, Register, 2u), (load.Region, load.Offset, load.Size, load.Address, load.InstructionLength));
        Assert.Equal(before with { Rdx = Register }, load.State);
        Assert.Equal((ExitReason.MmioWrite, 0x44ul, 2u, 3u, 2u), (store.Reason, store.Offset, store.Size, store.InstructionLength, store.Sequence));
        Assert.Equal(0xABCDul, store.State.Rax);
    }

    [Fact]
    public void A_write_is_not_posted()
    {
        var answered = false;
        var host = Start(trap =>
        {
            Thread.Sleep(50);
            answered = true;
            trap.Send(trap.Good());
        });
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var processor = partition.StartProcessor(0);
        processor.WriteMmio(Register, 4, 1);
        Assert.True(answered);
        Assert.Equal([VfioUserFlags.Command], host.Flags);
    }

    public static TheoryData<string, string> Refused => new()
    {
        { "another register", "named Rbx to change" },
        { "the flags", "named Rflags to change" },
        { "the stack pointer", "named Rsp to change" },
        { "a store's register", "named Rax to change" },
        { "a jump", "set the instruction pointer to 0x" },
        { "a byte further", "set the instruction pointer to 0x" },
        { "a wide value", "answered a load of 4 bytes with 0x100000000" },
        { "no value", "completed a load without a value" },
        { "a fault", "refused the access (errno 5)" },
        { "an error", "refused Trap (errno 0)" },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public void What_VM_H_may_not_change_is_a_fault_with_one_log_line_and_changes_nothing(string what, string why)
    {
        Start(trap =>
        {
            if (trap.Number > 1) trap.Send(trap.Good(7));
            else Misbehave(trap, what);
        });
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var processor = partition.StartProcessor(0);
        processor.State = new ProcessorState { Rbx = 2, Rsp = 8, Rip = 0x1000 };
        var fault = Assert.Throws<MachineCheckException>(() => Access(processor, what));
        Assert.Equal(FaultCode.DeviceFailed, fault.Code);
        Assert.Contains(why, fault.Message, StringComparison.Ordinal);
        Assert.Equal((2ul, 8ul, 0x1000ul), (processor.State.Rbx, processor.State.Rsp, processor.State.Rip));
        // The guest continues: nothing was lost but one access.
        Assert.Equal(7ul, processor.ReadMmio(Register, 4));
        AssertOneLine(why);
    }

    public static TheoryData<string, string> Dropped => new()
    {
        { "another partition", "instead of exit 1 of processor 0 of partition 1" },
        { "another processor", "it answered exit 1 of processor 1 of partition 1 instead" },
        { "an earlier exit", "it answered exit 0 of processor 0 of partition 1 instead" },
        { "a repeated answer", "it sent more than the reply" },
        { "a late answer", "the peer did nothing for 0.3 s" },
        { "an unknown action", "it answered an access with action 7" },
        { "an unknown register", "24 bytes that are no answer" },
        { "a missing value", "24 bytes that are no answer" },
        { "a value too many", "40 bytes that are no answer" },
        { "no header", "3 bytes that are no answer" },
    };

    [Theory]
    [MemberData(nameof(Dropped))]
    public void An_answer_that_is_late_repeated_or_of_another_exit_is_dropped_and_ends_the_session(string what, string why)
    {
        var host = Start(trap => Misbehave(trap, what), "--patience", "0.3");
        using (var partition = GuestPartition.Create(_socket, 1 << 20, 1))
        using (var processor = partition.StartProcessor(0))
        {
            processor.State = new ProcessorState { Rax = 0x99, Rip = 0x1000 };
            var fault = Assert.Throws<MachineCheckException>(() => Access(processor, what));
            Assert.Equal(FaultCode.DeviceFailed, fault.Code);
            Assert.Contains($"the device at {host.Path} is lost: ", fault.Message, StringComparison.Ordinal);
            Assert.Contains(why, fault.Message, StringComparison.Ordinal);
            Assert.Equal((0x99ul, 0x1000ul), (processor.State.Rax, processor.State.Rip));
            Eventually.True(() => host.EndedSessions == 1, "VM-H's session ended");
            // The first reason is kept, and VM-H is not asked again.
            Assert.Equal(fault.Message, Assert.Throws<MachineCheckException>(() => processor.ReadMmio(Register, 4)).Message);
            Assert.Single(host.Accesses);
        }
    }

    [Fact]
    public void VM_H_may_have_an_instruction_executed_again_sixteen_times()
    {
        var host = Start(static trap =>
        {
            var again = trap.Good() with { Changed = ProcessorRegisters.None };
            trap.Send(trap.Number <= 16 ? again : trap.Good(5));
        });
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var processor = partition.StartProcessor(0);
        processor.State.Rip = 0x1000;
        Assert.Equal(5ul, processor.ReadMmio(Register, 4));
        Assert.Equal(0x1002ul, processor.State.Rip);
        // Each is an exit of its own, of the same instruction.
        Assert.Equal(Enumerable.Range(1, 17).Select(static n => (uint)n), host.Accesses.Select(static access => access.Sequence));
        Assert.All(host.Accesses, static access => Assert.Equal(0x1000ul, access.State.Rip));
        Assert.Equal(17, RunningHypervisor.Statistics(_socket, partition.Id).Exits.MmioRead);
        // They count in a row: another instruction has all of them again.
        Assert.Equal(5ul, processor.ReadMmio(Register, 4));
        Assert.DoesNotContain("machine check", Hypervisor.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void The_seventeenth_retry_is_a_fault()
    {
        var host = Start(static trap => trap.Send(trap.Number <= 17 ? trap.Good() with { Changed = ProcessorRegisters.None } : trap.Good(6)));
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var processor = partition.StartProcessor(0);
        const string why = "VM-H had an instruction executed again 16 times";
        Assert.Contains(why, Assert.Throws<MachineCheckException>(() => processor.ReadMmio(Register, 4)).Message, StringComparison.Ordinal);
        Assert.Equal(17, host.Accesses.Count);
        Assert.Equal(6ul, processor.ReadMmio(Register, 4));
        AssertOneLine(why);
    }

    [Fact]
    public void A_VM_H_that_takes_no_state_is_refused_at_the_start()
    {
        using var host = new ScriptedHost(static _ => { }, takesState: false);
        using var hypervisor = new RunningHypervisor("--socket", _socket, "--device", $"disk0,vfio-user={host.Path}", "--trap-state", "full");
        Assert.Equal(1, hypervisor.WaitForExit());
        Assert.Contains($"device disk0: {host.Path} does not take the processor's state with an access (--trap-state full)", hypervisor.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("access")]
    [InlineData("full")]
    public void A_processor_whose_VM_H_is_lost_gets_the_same_fault_in_both_forms(string form)
    {
        using var devices = new ServedDevices();
        _running.Add(RunningHypervisor.Ready(_socket, $"disk0,vfio-user={devices.Path}", "--trap-state", form));
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var processor = partition.StartProcessor(0);
        processor.State.Rip = 0x1000;
        Assert.Throws<MachineCheckException>(() => processor.WriteMmio(GuestLayout.BarAddress + RegisterDevice.RefusedRegister, 4, 1));
        processor.WriteMmio(Register, 4, 0x77);
        Assert.Equal((0x77ul, 0x1004ul), (processor.ReadMmio(Register, 4), processor.State.Rip));
        devices.Dispose();
        var error = Record.Exception(() => processor.ReadMmio(Register, 4));
        // The hypervisor exits, too: the processor sees what comes first.
        if (error is HypervisorLostException) return;
        var fault = Assert.IsType<MachineCheckException>(error);
        Assert.Equal(FaultCode.DeviceFailed, fault.Code);
        Assert.Contains("is lost", fault.Message, StringComparison.Ordinal);
        Assert.Equal(0x1004ul, processor.State.Rip);
    }

    private RunningHypervisor Hypervisor => _running.OfType<RunningHypervisor>().Single();

    private ScriptedHost Start(Action<ScriptedHost.Trap> onTrap, params string[] more)
    {
        var host = new ScriptedHost(onTrap);
        _running.Add(host);
        _running.Add(RunningHypervisor.Ready(_socket, $"disk0,vfio-user={host.Path}", ["--trap-state", "full", .. more]));
        return host;
    }

    private void AssertOneLine(string why)
    {
        Eventually.True(() => Hypervisor.Errors.Contains(why, StringComparison.Ordinal), "the fault's log line");
        Assert.Single(Hypervisor.Errors.Split('\n'), static line => line.Contains("machine check on processor 0", StringComparison.Ordinal));
    }

    private static void Access(VirtualProcessor processor, string what)
    {
        if (what == "a store's register") processor.WriteMmio(Register, 4, 0x55);
        else processor.ReadMmio(Register, 4);
    }

    private static void Misbehave(ScriptedHost.Trap trap, string what)
    {
        var answer = trap.Good(1);
        switch (what)
        {
            case "another register": answer.Changed |= ProcessorRegisters.Rbx; break;
            case "the flags": answer.Changed |= ProcessorRegisters.Rflags; break;
            case "the stack pointer": answer.Changed |= ProcessorRegisters.Rsp; break;
            case "a store's register": answer.Changed |= ProcessorRegisters.Rax; break;
            case "a jump": answer.State.Rip = 0x40_0000; break;
            case "a byte further": answer.State.Rip++; break;
            case "a wide value": answer.State.Rax = 1ul << 32; break;
            case "no value": answer.Changed = ProcessorRegisters.Rip; break;
            case "a fault": (answer.Action, answer.Changed, answer.Errno) = (TrapAction.Fault, default, 5); break;
            case "another partition": answer.Partition++; break;
            case "another processor": answer.Processor++; break;
            case "an earlier exit": answer.Sequence--; break;
            case "an unknown action": answer.Action = (TrapAction)7; break;
            case "an error":
                trap.End.Send(MessageGen.Bytes(trap.Request with { Size = 16, Flags = VfioUserFlags.Reply | VfioUserFlags.Error }));
                return;
            case "a repeated answer":
                var payload = new byte[TrapAnswer.MaxBytes];
                byte[] message = [.. MessageGen.Bytes(trap.Request with { Size = 56, Flags = VfioUserFlags.Reply }), .. payload.AsSpan(0, answer.Write(payload))];
                trap.End.Send([.. message, .. message]);
                return;
            case "a late answer":
                // The connection ends before the answer is due.
                while (trap.End.Receive(out byte _)) continue;
                break;
            case "an unknown register":
                trap.Send([.. MessageGen.Bytes(answer).AsSpan(0, 16), 0, 0, 0, 0x80, 0, 0, 0, 0]);
                return;
            case "a missing value":
                trap.Send(MessageGen.Bytes(answer)[..24]);
                return;
            case "a value too many":
                trap.Send([.. MessageGen.Bytes(answer with { Changed = ProcessorRegisters.Rip }).AsSpan(0, 24), .. new byte[16]]);
                return;
            case "no header":
                trap.Send([1, 2, 3]);
                return;
        }
        trap.Send(answer);
    }
}
