using System.Collections.Concurrent;
using Microsoft.Win32.SafeHandles;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Guest.Machine;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.Guest.Kernel.Machine;

/// <summary>How injected interrupts reach their handlers.</summary>
public class InterruptProcessorTests
{
    [Fact]
    public void Each_interrupt_runs_the_handler_of_its_vector_and_a_failing_machine_is_reported()
    {
        using var processor = new HaltingProcessor();
        using var failed = new SemaphoreSlim(0);
        var handled = new BlockingCollection<string>();
        var interrupts = new InterruptProcessor(processor, null, new CrashGate(), _ => failed.Release());
        interrupts.Handle(32, () => handled.Add("first"));
        interrupts.Handle(33, () => handled.Add("second"));
        interrupts.Start();
        processor.Vectors.Add(33);
        Assert.Equal("second", handled.Take());
        interrupts.Handle(33, () => handled.Add("exchanged"));
        processor.Vectors.Add(33);
        processor.Vectors.Add(77);
        processor.Vectors.Add(-1);
        processor.Vectors.Add(32);
        Assert.Equal(("exchanged", "first"), (handled.Take(), handled.Take()));
        processor.Vectors.CompleteAdding();
        Assert.True(failed.Wait(TimeSpan.FromSeconds(60)));
    }

    private sealed class HaltingProcessor : IProcessor, IDisposable
    {
        private ProcessorState _state;

        internal BlockingCollection<int> Vectors { get; } = [];

        public ref ProcessorState State => ref _state;

        public int Halt() => Vectors.Take();

        public ulong Read(ulong address, int size) => 0;

        public void Write(ulong address, int size, ulong value)
        {
        }

        public HypercallStatus Call(ulong code, ulong p1 = 0) => HypercallStatus.UnknownCode;

        public HypercallStatus Call(ulong code, ulong p1, out SafeFileHandle? descriptor)
        {
            descriptor = null;
            return HypercallStatus.UnknownCode;
        }

        public void Dispose() => Vectors.Dispose();
    }
}
