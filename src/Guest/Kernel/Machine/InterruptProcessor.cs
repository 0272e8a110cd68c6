using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Ring.Memory;

namespace VmShunt.Guest.Machine;

/// <summary>The processor that handles interrupts: it halts until one is injected, runs its handler, and halts again.</summary>
internal sealed class InterruptProcessor
{
    private const int Vectors = 256;

    private readonly IProcessor _processor;
    private readonly MachineProcessors? _machine;
    private readonly CrashGate _crash;
    private readonly Action<Exception> _machineCheck;
    private readonly Action?[] _handlers = new Action[Vectors];

    /// <param name="processor">The processor; nothing else runs on it.</param>
    /// <param name="machine">Its machine; null if handlers access no registers.</param>
    /// <param name="crash">Stops the thread when the machine crashes.</param>
    /// <param name="machineCheck">Called when the machine fails under the thread.</param>
    internal InterruptProcessor(IProcessor processor, MachineProcessors? machine, CrashGate crash, Action<Exception> machineCheck)
    {
        _processor = processor;
        _machine = machine;
        _crash = crash;
        _machineCheck = machineCheck;
    }

    /// <summary>Sets the handler of a vector. Any thread.</summary>
    internal void Handle(int vector, Action handler) => Ordered.Store(ref _handlers[vector], handler);

    internal void Start() => new Thread(Run) { IsBackground = true, Name = "interrupts" }.Start();

    private void Run()
    {
        _machine?.Enter(_processor);
        try
        {
            while (true)
            {
                _crash.Leave();
                var vector = _processor.Halt();
                _crash.Enter();
                _crash.ParkIfCrashed();
                if ((uint)vector < Vectors) Ordered.Load(ref _handlers[vector])?.Invoke();
            }
        }
        catch (Exception e)
        {
            _machineCheck(e);
        }
    }
}
