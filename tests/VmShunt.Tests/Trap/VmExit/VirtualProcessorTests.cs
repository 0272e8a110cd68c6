using VmShunt.Ring.Interop;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.Trap.VmExit;

public sealed class VirtualProcessorTests
{
    [Theory]
    [InlineData(1, 3u)]
    [InlineData(2, 3u)]
    [InlineData(4, 2u)]
    [InlineData(8, 3u)]
    public void A_read_exits_with_its_address_and_resumes_with_the_value_after_the_instruction(int size, uint length)
    {
        ExitRecord seen = default;
        using var hypervisor = new ScriptedHypervisor((channel, exit) =>
        {
            seen = exit;
            exit.State.Rax = 0x77;
            channel.Resume(exit, exit.State);
            return true;
        });
        using var partition = GuestPartition.Create(hypervisor.Path, 0x10000, 1);
        var processor = partition.StartProcessor(0);
        processor.State.Rip = 0x1000;
        processor.State.Rbx = 0xB;
        Assert.Equal(0x77ul, processor.ReadMmio(0xF000_0010, size));
        Assert.Equal((ExitReason.MmioRead, 0xF000_0010ul, (uint)size), (seen.Reason, seen.Address, seen.Size));
        Assert.Equal((0x1000ul, 0xF000_0010ul, 0xBul), (seen.State.Rip, seen.State.Rdx, seen.State.Rbx));
        Assert.Equal(0x1000ul + length, processor.State.Rip);
        Assert.Equal(0xBul, processor.State.Rbx);
        processor.Dispose();
    }

    [Fact]
    public void An_instruction_that_is_not_skipped_is_executed_again_with_the_new_registers()
    {
        var seen = new List<ExitRecord>();
        using var hypervisor = new ScriptedHypervisor((channel, exit) =>
        {
            seen.Add(exit);
            exit.State.Rax = (ulong)seen.Count;
            if (seen.Count < 3) channel.Retry(exit, exit.State);
            else channel.Resume(exit, exit.State);
            return true;
        });
        using var partition = GuestPartition.Create(hypervisor.Path, 0x10000, 1);
        using var processor = partition.StartProcessor(0);
        processor.State.Rip = 0x1000;
        Assert.Equal(3ul, processor.ReadMmio(0xF000_0010, 4));
        Assert.Equal(0x1002ul, processor.State.Rip);
        Assert.Equal([(1u, 0ul), (2u, 1ul), (3u, 2ul)], seen.Select(static e => (e.Sequence, e.State.Rax)));
        Assert.All(seen, static e => Assert.Equal((ExitReason.MmioRead, 0xF000_0010ul, 0x1000ul), (e.Reason, e.Address, e.State.Rip)));
    }

    [Fact]
    public void A_write_carries_its_value_and_a_hypercall_its_parameters()
    {
        var seen = new List<ExitRecord>();
        using var hypervisor = new ScriptedHypervisor((channel, exit) =>
        {
            seen.Add(exit);
            exit.State.Rax = 3;
            exit.State.Rbx = 44;
            channel.Resume(exit, exit.State);
            return true;
        });
        using var partition = GuestPartition.Create(hypervisor.Path, 0x10000, 1);
        using var processor = partition.StartProcessor(0);
        processor.WriteMmio(0xF000_0020, 4, 0xABCD);
        Assert.Equal((HypercallStatus)3, processor.Invoke(9, 1, 2, 3));
        Assert.Equal(44ul, processor.State.Rbx);
        Assert.Equal((ExitReason.MmioWrite, 0xF000_0020ul, 0xABCDul), (seen[0].Reason, seen[0].Address, seen[0].State.Rax));
        Assert.Equal((9ul, 1ul, 2ul, 3ul), (seen[1].State.Rcx, seen[1].State.Rdx, seen[1].State.R8, seen[1].State.R9));
        Assert.Equal([1u, 2u], seen.Select(e => e.Sequence));
    }

    [Fact]
    public void Halt_returns_the_injected_vector_and_a_hypercall_returns_its_descriptor()
    {
        using var passed = EventFd.Create();
        using var hypervisor = new ScriptedHypervisor((channel, exit) =>
        {
            channel.Resume(exit, exit.State, exit.Reason == ExitReason.Halt ? 33u : 0, exit.Reason == ExitReason.Halt ? null : passed.Handle);
            return true;
        });
        using var partition = GuestPartition.Create(hypervisor.Path, 0x10000, 1);
        using var processor = partition.StartProcessor(0);
        Assert.Equal(33, processor.Halt());
        processor.Invoke(Hypercall.OpenBus, 0, out var descriptor);
        Assert.True(EventFd.TryFromPeer(descriptor!, out var eventFd));
        using var received = eventFd;
        received.Signal();
        Assert.True(passed.TryDrain());
    }

    [Fact]
    public void A_fault_is_a_machine_check_with_the_hypervisors_text_and_the_processor_can_continue()
    {
        using var hypervisor = new ScriptedHypervisor((channel, exit) =>
        {
            if (exit.Sequence == 1) channel.Fault(exit, FaultCode.DeviceFailed, "the disk is offline — ü");
            else channel.Resume(exit, exit.State);
            return true;
        });
        using var partition = GuestPartition.Create(hypervisor.Path, 0x10000, 1);
        using var processor = partition.StartProcessor(0);
        processor.State.Rip = 8;
        var fault = Assert.Throws<MachineCheckException>(() => processor.ReadMmio(1, 4));
        Assert.Equal("the disk is offline — ü", fault.Message);
        Assert.Equal(FaultCode.DeviceFailed, fault.Code);
        Assert.Equal(8ul, processor.State.Rip);
        processor.ReadMmio(1, 4);
    }

    [Fact]
    public void A_closed_connection_or_a_wrong_sequence_number_loses_the_hypervisor()
    {
        using var hypervisor = new ScriptedHypervisor((channel, exit) =>
        {
            if (exit.Sequence > 1) return false;
            exit.Sequence = 99;
            channel.Resume(exit, exit.State);
            return true;
        });
        using var partition = GuestPartition.Create(hypervisor.Path, 0x10000, 1);
        using var processor = partition.StartProcessor(0);
        Assert.Contains("99", Assert.Throws<HypervisorLostException>(() => processor.ReadMmio(1, 4)).Message, StringComparison.Ordinal);
        Assert.Throws<HypervisorLostException>(() => processor.ReadMmio(1, 4));
        Assert.Throws<HypervisorLostException>(() => processor.Halt());
    }

    [Fact]
    public void Disposing_a_processor_interrupts_a_halt_on_another_thread()
    {
        using var halted = new ManualResetEventSlim();
        using var hypervisor = new ScriptedHypervisor((channel, exit) =>
        {
            halted.Set();
            return true;
        });
        using var partition = GuestPartition.Create(hypervisor.Path, 0x10000, 1);
        var processor = partition.StartProcessor(0);
        Exception? error = null;
        var thread = new Thread(() => error = Record.Exception(() => processor.Halt()));
        thread.Start();
        Assert.True(halted.Wait(60_000));
        processor.Dispose();
        thread.Join();
        Assert.IsType<HypervisorLostException>(error);
    }

    [Fact]
    public void An_exit_allocates_nothing_on_either_end()
    {
        long onServer = 0;
        using var hypervisor = new ScriptedHypervisor((channel, exit) =>
        {
            Interlocked.Exchange(ref onServer, GC.GetAllocatedBytesForCurrentThread());
            channel.Resume(exit, exit.State);
            return true;
        });
        using var partition = GuestPartition.Create(hypervisor.Path, 0x10000, 1);
        using var processor = partition.StartProcessor(0);
        long serverBefore = 0, before = 0;
        for (var i = 0; i < 3000; i++)
        {
            if (i == 1000) (serverBefore, before) = (Interlocked.Read(ref onServer), GC.GetAllocatedBytesForCurrentThread());
            processor.ReadMmio(0xF000_0000, 4);
            processor.WriteMmio(0xF000_0000, 4, 1);
            processor.Invoke(Hypercall.Identify);
        }
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(0, Interlocked.Read(ref onServer) - serverBefore);
    }
}
