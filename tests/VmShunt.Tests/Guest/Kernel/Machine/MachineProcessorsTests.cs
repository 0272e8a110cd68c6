using VmShunt.BlockBackend.Disk;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Guest.Machine;
using VmShunt.Trap.Ahci;
using VmShunt.Trap.VmExit;
using GuestHypervisor = VmShunt.Guest.Machine.Hypervisor;

namespace VmShunt.Tests.Guest.Kernel.Machine;

/// <summary>Which processor an access uses, and what hypercalls find.</summary>
public class MachineProcessorsTests
{
    [Fact]
    public void Accesses_are_counted_and_recorded_while_they_are_watched()
    {
        using var machine = new InProcessMachine(new MemoryPortDriver(1 << 20));
        var processors = Processors(machine);
        var watch = new RegisterWatch();
        processors.Read(InProcessMachine.Abar + HbaRegister.CAP, 4);
        processors.Watch(watch);
        processors.Write(InProcessMachine.Abar + HbaRegister.IS, 4, 0);
        processors.Read(InProcessMachine.Abar + HbaRegister.VS, 4);
        processors.Watch(null);
        processors.Read(InProcessMachine.Abar + HbaRegister.CAP, 4);
        Assert.Equal(4, processors.Accesses);
        Assert.Equal([(InProcessMachine.Abar + HbaRegister.IS, true), (InProcessMachine.Abar + HbaRegister.VS, false)],
            watch.Accesses.Select(static access => (access.Address, access.IsWrite)));
    }

    [Fact]
    public void A_thread_that_leaves_its_processor_makes_it_available_to_the_next()
    {
        using var machine = new InProcessMachine(new MemoryPortDriver(1 << 20));
        var processors = Processors(machine);
        var seen = new List<IProcessor>();
        for (var i = 0; i < 2; i++)
        {
            var thread = new Thread(() =>
            {
                processors.Enter();
                seen.Add(processors.Use(static processor => processor));
                processors.Leave();
            });
            thread.Start();
            thread.Join();
        }
        Assert.Same(seen[0], seen[1]);
        Assert.NotSame(seen[0], processors.Use(static processor => processor));
    }

    [Fact]
    public void The_crash_path_gets_the_state_of_every_processor()
    {
        using var machine = new InProcessMachine(new MemoryPortDriver(1 << 20));
        var processors = Processors(machine);
        processors.Start().State.Rip = 0x1234;
        var states = new ProcessorState[8];
        Assert.Equal(3, processors.CopyStates(states));
        Assert.Equal(0x1234UL, states[2].Rip);
        Assert.Equal(1, processors.CopyStates(states.AsSpan(0, 1)));
    }

    [Fact]
    public void The_hypervisor_is_found_by_its_signature_and_reports_its_offers()
    {
        using var machine = new InProcessMachine(new MemoryPortDriver(1 << 20));
        var hypervisor = GuestHypervisor.Find(machine.StartProcessor(0));
        Assert.NotNull(hypervisor);
        Assert.False(hypervisor.OffersBus(0));
        Assert.Throws<IOException>(() => hypervisor.OpenBus(0));
        machine.IsOffered = true;
        Assert.True(hypervisor.OffersBus(0));
        hypervisor.CloseBus(0);
        Assert.Equal(1, machine.Closed);
    }

    [Fact]
    public async Task Application_work_continues_on_its_processor_after_each_wait()
    {
        var faults = new List<Exception>();
        var applications = new ApplicationProcessors(2, null, 0, new CrashGate(), faults.Add);
        var threads = new List<int>();
        await applications.Run(3, async () =>
        {
            for (var i = 0; i < 3; i++)
            {
                threads.Add(Environment.CurrentManagedThreadId);
                await Task.Yield();
            }
        });
        Assert.Single(threads.Distinct());
        await Assert.ThrowsAsync<IOException>(() => applications.Run(0, static () => throw new IOException("fails")));
        Assert.Empty(faults);
    }

    private static MachineProcessors Processors(InProcessMachine machine)
    {
        var processors = new MachineProcessors(machine, machine.StartProcessor(0));
        processors.Leave();
        return processors;
    }
}
