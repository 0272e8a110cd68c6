using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Memory;

namespace VmShunt.Guest.Shunt.AtRegisters;

/// <summary>
/// One interrupt line with two sources: the controller's interrupt, which the machine injects, and the shunt's. The driver's
/// handler runs on one thread at a time, as on a processor, and no interrupt is lost.
/// </summary>
/// <remarks>
/// The thread that completes a command serves the shunt's interrupt. It is a thread of the ring and must not wait for
/// completions, so the handler sees only the shunt's part of the status there, which has no errors to recover from.
/// </remarks>
internal sealed class RegisterShuntInterrupt : IDisposable
{
    private readonly Lock _serving = new();
    private readonly SemaphoreSlim _wake = new(0);
    private readonly Action _handler;
    private readonly CrashGate _crash;
    private readonly Action<Exception> _machineCheck;
    private int _pending, _shuntOnlyThread;
    private bool _isRetired, _isDisposed;

    /// <param name="handler">The driver's interrupt handler.</param>
    /// <param name="crash">Stops the thread of this object when the machine crashes.</param>
    /// <param name="machineCheck">Called when the machine fails under that thread.</param>
    internal RegisterShuntInterrupt(Action handler, CrashGate crash, Action<Exception> machineCheck)
    {
        _handler = handler;
        _crash = crash;
        _machineCheck = machineCheck;
        new Thread(ServeElsewhere) { IsBackground = true, Name = "shunt interrupts" }.Start();
    }

    /// <summary>Whether the calling thread runs the handler for the shunt's own interrupt.</summary>
    internal bool ServesShuntOnly => Ordered.Load(ref _shuntOnlyThread) == Environment.CurrentManagedThreadId;

    /// <summary>The machine injected the controller's interrupt. On the interrupt processor's thread, which may wait.</summary>
    internal void ServeMachine()
    {
        lock (_serving)
        {
            Interlocked.Exchange(ref _pending, 0);
            _handler();
        }
        ServePending();
    }

    /// <summary>The shunt's own interrupt.</summary>
    /// <param name="here">Whether this thread may run the handler: it holds no lock of the driver's.</param>
    internal void Raise(bool here)
    {
        Interlocked.Exchange(ref _pending, 1);
        // Raised by the handler itself: served when the handler has returned.
        if (_serving.IsHeldByCurrentThread) return;
        if (here) ServePending();
        else _wake.Release();
    }

    /// <summary>Ends the shunt's own interrupts. When it returns, only <see cref="ServeMachine"/> still calls the handler.</summary>
    internal void Retire()
    {
        lock (_serving) _isRetired = true;
    }

    public void Dispose()
    {
        Ordered.Store(ref _isDisposed, true);
        _wake.Release();
    }

    private void ServePending()
    {
        while (IsPending() && _serving.TryEnter())
        {
            try
            {
                if (Interlocked.Exchange(ref _pending, 0) == 0 || _isRetired) continue;
                Ordered.Store(ref _shuntOnlyThread, Environment.CurrentManagedThreadId);
                _handler();
            }
            finally
            {
                Ordered.Store(ref _shuntOnlyThread, 0);
                _serving.Exit();
            }
        }
    }

    // A thread that finds the handler running leaves the interrupt to the thread that runs it. That one looks again after it
    // has released the lock, so the release must be visible before this load.
    private bool IsPending()
    {
        Fence.StoreBeforeLoad();
        return Ordered.Load(ref _pending) != 0;
    }

    private void ServeElsewhere()
    {
        try
        {
            while (true)
            {
                _crash.Leave();
                _wake.Wait();
                if (Ordered.Load(ref _isDisposed)) return;
                _crash.Enter();
                _crash.ParkIfCrashed();
                ServePending();
            }
        }
        catch (Exception e)
        {
            _machineCheck(e);
        }
    }
}
