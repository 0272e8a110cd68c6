using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Shunt.AtRegisters;

/// <summary>
/// One interrupt line with two sources: the controller's, which the machine injects, and the shunt's. The driver's
/// handler runs on one thread at a time, as on a processor, and nothing that either raises is lost.
/// </summary>
/// <remarks>
/// The shunt's interrupt is served by the very thread that noticed the completion, as a real one runs on the processor
/// that takes it. That thread is the ring's, and must not wait for what only it can bring about: so a handler that runs
/// there is shown the shunt's part of the status only, in which there are no errors, and recovers nothing.
/// </remarks>
internal sealed class RegisterShuntInterrupt : IDisposable
{
    private readonly Lock _serving = new();
    private readonly SemaphoreSlim _wake = new(0);
    private readonly CrashGate _crash;
    private readonly Action<Exception> _machineCheck;
    private Action? _handler;
    private int _pending, _shuntOnlyThread, _ending;

    internal RegisterShuntInterrupt(CrashGate crash, Action<Exception> machineCheck)
    {
        _crash = crash;
        _machineCheck = machineCheck;
        new Thread(ServeElsewhere) { IsBackground = true, Name = "shunt interrupts" }.Start();
    }

    /// <summary>Whether the calling thread runs the handler for the shunt's own interrupt.</summary>
    internal bool ServesShuntOnly => _shuntOnlyThread == Environment.CurrentManagedThreadId;

    /// <summary>Sets the driver's handler.</summary>
    internal void Connect(Action handler) => _handler = handler;

    /// <summary>The machine injected the controller's interrupt: on the interrupt processor's thread, which may wait.</summary>
    internal void ServeMachine()
    {
        lock (_serving)
        {
            Interlocked.Exchange(ref _pending, 0);
            _handler?.Invoke();
        }
        ServePending();
    }

    /// <summary>The shunt's own interrupt.</summary>
    /// <param name="here">Whether this thread may run the handler: it holds no lock of the driver's.</param>
    internal void Raise(bool here)
    {
        Interlocked.Exchange(ref _pending, 1);
        // Raised by the handler itself: served when it has returned.
        if (_serving.IsHeldByCurrentThread) return;
        if (here) ServePending();
        else _wake.Release();
    }

    public void Dispose()
    {
        _ending = 1;
        _wake.Release();
    }

    private void ServePending()
    {
        // Whoever finds the handler running leaves the interrupt to that thread, which looks again after it has let go.
        while (Interlocked.CompareExchange(ref _pending, 0, 0) != 0 && _serving.TryEnter())
        {
            try
            {
                if (Interlocked.Exchange(ref _pending, 0) == 0) continue;
                _shuntOnlyThread = Environment.CurrentManagedThreadId;
                _handler?.Invoke();
            }
            finally
            {
                _shuntOnlyThread = 0;
                _serving.Exit();
            }
        }
    }

    private void ServeElsewhere()
    {
        try
        {
            while (true)
            {
                _crash.Leave();
                _wake.Wait();
                if (_ending != 0) return;
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
