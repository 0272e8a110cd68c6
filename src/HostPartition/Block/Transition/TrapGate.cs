using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Transition;

/// <summary>
/// What the trap path of a guest may do, and did. A write loads one field; only where that is not set does it ask the
/// transition. The thread that executes the trap path's commands counts.
/// </summary>
internal sealed class TrapGate
{
    private bool _mayWrite, _isInterruptDriven;
    private long _requests, _bytesRead;

    /// <summary>Whether a write needs no question.</summary>
    internal bool MayWrite
    {
        get => Ordered.Load(ref _mayWrite);
        set => Ordered.Store(ref _mayWrite, value);
    }

    /// <summary>Whether a driver with interrupts has used the device since it was enumerated, or the disk came back.</summary>
    internal bool IsInterruptDriven
    {
        get => Ordered.Load(ref _isInterruptDriven);
        set => Ordered.Store(ref _isInterruptDriven, value);
    }

    internal long Requests => Ordered.Load(ref _requests);

    internal long BytesRead => Ordered.Load(ref _bytesRead);

    /// <summary>Decides about a write that <see cref="MayWrite"/> does not allow; false fails it. May block until a ring has stopped.</summary>
    internal Func<SharedFlag, bool> Ask { get; set; } = static _ => true;

    internal void CountRequest() => Ordered.Store(ref _requests, _requests + 1);

    internal void CountRead(long bytes) => Ordered.Store(ref _bytesRead, _bytesRead + bytes);
}
