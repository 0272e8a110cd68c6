using System.Runtime.InteropServices;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Requests;

/// <summary>
/// A request whose caller waits for it. Each thread has one, since it makes one call at a time. On a polled queue the
/// caller finds the completion itself, before <see cref="IBlockDriver.Submit"/> returns; on another path it is woken.
/// </summary>
internal sealed class PolledRequest : ClassRequest
{
    [ThreadStatic]
    private static PolledRequest? t_own;

    private readonly object _gate = new();
    private BlockStatus? _polledStatus, _signaledStatus;

    private PolledRequest()
    {
        PollingThread = Environment.CurrentManagedThreadId;
        // Allocates the thread's wait, system call and batch state now, off the hot path.
        lock (_gate) Monitor.Wait(_gate, 0);
        Marshal.SetLastPInvokeError(0);
        BatchSubmission.AllocateThreadState();
    }

    /// <summary>Begins the calling thread's request.</summary>
    internal static PolledRequest BeginOwn(DiskClassDriver owner, BlockOperation operation, ulong sector, int bytes, ulong address)
    {
        var request = t_own ??= new PolledRequest();
        request.TryReset();
        request._polledStatus = request._signaledStatus = null;
        request.Begin(owner, operation, sector, bytes, address);
        return request;
    }

    /// <summary>Waits for the completion, on the caller's thread. A crash does not wait for a blocked caller.</summary>
    internal BlockStatus Wait(CrashGate crash) => _polledStatus ?? Block(crash);

    protected override void Signal(BlockStatus status)
    {
        if (PollingThread == Environment.CurrentManagedThreadId)
        {
            _polledStatus = status;
            return;
        }
        lock (_gate)
        {
            _signaledStatus = status;
            Monitor.Pulse(_gate);
        }
    }

    private BlockStatus Block(CrashGate crash)
    {
        BlockStatus status;
        var ran = crash.Leave();
        lock (_gate)
        {
            while (_signaledStatus is null) Monitor.Wait(_gate);
            status = _signaledStatus.Value;
        }
        if (ran) crash.Enter();
        return status;
    }
}
