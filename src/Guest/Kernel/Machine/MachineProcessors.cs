using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Machine;

/// <summary>
/// The machine's virtual processors, and which thread runs on which. A register access exits on the processor of the
/// thread that makes it; threads without one share a processor and wait for each other.
/// </summary>
internal sealed class MachineProcessors : IMmio, IDisposable
{
    [ThreadStatic]
    private static VirtualProcessor? t_processor;

    private readonly GuestPartition _machine;
    private readonly List<VirtualProcessor> _running = [];
    private readonly Stack<VirtualProcessor> _idle = [];
    private readonly Lock _starting = new();
    private readonly Lock _sharing = new();
    private readonly VirtualProcessor _shared;

    /// <param name="machine">The machine.</param>
    /// <param name="boot">Processor 0, which the calling thread runs on.</param>
    internal MachineProcessors(GuestPartition machine, VirtualProcessor boot)
    {
        _machine = machine;
        _running.Add(boot);
        t_processor = boot;
        _shared = Start();
    }

    /// <summary>All that run, by index.</summary>
    internal IReadOnlyList<VirtualProcessor> Running
    {
        get
        {
            lock (_starting) return [.. _running];
        }
    }

    /// <summary>Starts the next processor.</summary>
    internal VirtualProcessor Start()
    {
        lock (_starting)
        {
            var processor = _machine.StartProcessor(_running.Count);
            _running.Add(processor);
            return processor;
        }
    }

    /// <summary>Makes the calling thread run on a processor of its own from now on.</summary>
    internal static void Enter(VirtualProcessor processor) => t_processor = processor;

    /// <summary>As <see cref="Enter(VirtualProcessor)"/>, with a processor that nobody runs on.</summary>
    internal void Enter()
    {
        lock (_starting) Enter(_idle.TryPop(out var idle) ? idle : Start());
    }

    /// <summary>The calling thread gives its processor back.</summary>
    internal void Leave()
    {
        if (t_processor is not { } processor) return;
        t_processor = null;
        lock (_starting) _idle.Push(processor);
    }

    /// <summary>Copies the registers of all processors as they last were; takes no lock, so that a crash can.</summary>
    /// <returns>How many.</returns>
    internal int CopyStates(Span<ProcessorState> target)
    {
        var count = Math.Min(_running.Count, target.Length);
        for (var i = 0; i < count; i++) target[i] = _running[i].State;
        return count;
    }

    public ulong Read(ulong address, int size)
    {
        if (t_processor is { } own) return own.ReadMmio(address, size);
        lock (_sharing) return _shared.ReadMmio(address, size);
    }

    public void Write(ulong address, int size, ulong value)
    {
        if (t_processor is { } own)
        {
            own.WriteMmio(address, size, value);
            return;
        }
        lock (_sharing) _shared.WriteMmio(address, size, value);
    }

    public void Dispose()
    {
        foreach (var processor in Running) processor.Dispose();
    }
}
