using System.Diagnostics;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Ring.Memory;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Machine;

/// <summary>
/// The machine's processors, and which thread runs on which. A thread accesses registers on its own processor; threads
/// without one share a processor, under a lock.
/// </summary>
internal sealed class MachineProcessors : IMmio
{
    // A processor is one machine's; a thread that ran on another machine's has none here.
    [ThreadStatic]
    private static IProcessor? t_processor;

    [ThreadStatic]
    private static MachineProcessors? t_machine;

    private readonly IMachine _machine;
    private readonly List<IProcessor> _running = [];
    private readonly Stack<IProcessor> _idle = [];
    private readonly Lock _starting = new();
    private readonly Lock _sharing = new();
    private readonly IProcessor _shared;
    private RegisterWatch? _watch;
    private long _accesses;

    /// <param name="machine">The machine.</param>
    /// <param name="boot">Processor 0: the calling thread's.</param>
    internal MachineProcessors(IMachine machine, IProcessor boot)
    {
        _machine = machine;
        _running.Add(boot);
        Enter(boot);
        _shared = Start();
    }

    /// <summary>Accesses to device registers so far.</summary>
    internal long Accesses => Interlocked.Read(ref _accesses);

    /// <summary>Records accesses; null stops it.</summary>
    internal void Watch(RegisterWatch? watch) => Ordered.Store(ref _watch, watch);

    /// <summary>Starts the next processor.</summary>
    internal IProcessor Start()
    {
        lock (_starting)
        {
            var processor = _machine.StartProcessor(_running.Count);
            _running.Add(processor);
            return processor;
        }
    }

    /// <summary>The calling thread runs on this processor from now on.</summary>
    internal void Enter(IProcessor processor) => (t_processor, t_machine) = (processor, this);

    /// <summary>As <see cref="Enter(IProcessor)"/>, with an idle processor or a new one.</summary>
    internal void Enter()
    {
        lock (_starting) Enter(_idle.TryPop(out var idle) ? idle : Start());
    }

    /// <summary>The calling thread's processor becomes idle.</summary>
    internal void Leave()
    {
        if (Own is not { } processor) return;
        t_processor = null;
        lock (_starting) _idle.Push(processor);
    }

    /// <summary>Copies the last known registers of all processors. Takes no lock: the crash path calls it.</summary>
    /// <returns>The number of processors copied.</returns>
    internal int CopyStates(Span<ProcessorState> target)
    {
        var count = Math.Min(_running.Count, target.Length);
        for (var i = 0; i < count; i++) target[i] = _running[i].State;
        return count;
    }

    /// <summary>Runs a function on the calling thread's processor, or on the shared one.</summary>
    internal T Use<T>(Func<IProcessor, T> action)
    {
        if (Own is { } own) return action(own);
        lock (_sharing) return action(_shared);
    }

    public ulong Read(ulong address, int size)
    {
        var begun = Begin();
        ulong value;
        if (Own is { } own) value = own.Read(address, size);
        else lock (_sharing) value = _shared.Read(address, size);
        Ordered.Load(ref _watch)?.Note(address, isWrite: false, begun);
        return value;
    }

    public void Write(ulong address, int size, ulong value)
    {
        var begun = Begin();
        if (Own is { } own) own.Write(address, size, value);
        else lock (_sharing) _shared.Write(address, size, value);
        Ordered.Load(ref _watch)?.Note(address, isWrite: true, begun);
    }

    private IProcessor? Own => t_machine == this ? t_processor : null;

    private long Begin()
    {
        Interlocked.Increment(ref _accesses);
        return Ordered.Load(ref _watch) is null ? 0 : Stopwatch.GetTimestamp();
    }
}
