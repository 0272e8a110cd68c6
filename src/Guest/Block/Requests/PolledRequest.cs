using System.Runtime.InteropServices;

namespace VmShunt.BlockDriver.Requests;

/// <summary>
/// A request whose caller waits for it: a thread has one, since it makes one call at a time. On a polled queue the caller
/// finds the end itself, before <see cref="IBlockDriver.Submit"/> returns; wherever else the request ends, it is woken.
/// </summary>
internal sealed class PolledRequest : BlockRequest
{
    [ThreadStatic]
    private static PolledRequest? t_own;

    private readonly int _caller = Environment.CurrentManagedThreadId;
    private readonly object _gate = new();
    private BlockStatus? _endedHere, _endedElsewhere;

    private PolledRequest()
    {
        // What the runtime takes for a thread's first wait, first system call and first request elsewhere it takes here, and not in
        // the middle of requests.
        lock (_gate) Monitor.Wait(_gate, 0);
        Marshal.SetLastPInvokeError(0);
        BatchSubmission.Meet();
    }

    /// <summary>Whether the calling thread is the one that waits for it: then it may poll.</summary>
    internal bool IsCallers => _caller == Environment.CurrentManagedThreadId;

    /// <summary>Begins the calling thread's request.</summary>
    internal static PolledRequest BeginOwn(DiskClassDriver owner, BlockOperation operation, ulong sector, int bytes, ulong address)
    {
        var request = t_own ??= new PolledRequest();
        request.TryReset();
        request._endedHere = request._endedElsewhere = null;
        request.Begin(owner, operation, sector, bytes, address);
        return request;
    }

    /// <summary>The caller: waits for the end. One that sleeps runs nothing, so a crash does not wait for it.</summary>
    internal BlockStatus Wait(CrashGate crash) => _endedHere ?? Sleep(crash);

    protected override void Tell(BlockStatus status)
    {
        if (IsCallers)
        {
            _endedHere = status;
            return;
        }
        lock (_gate)
        {
            _endedElsewhere = status;
            Monitor.Pulse(_gate);
        }
    }

    private BlockStatus Sleep(CrashGate crash)
    {
        BlockStatus status;
        var ran = crash.Leave();
        lock (_gate)
        {
            while (_endedElsewhere is null) Monitor.Wait(_gate);
            status = _endedElsewhere.Value;
        }
        if (ran) crash.Enter();
        return status;
    }
}
