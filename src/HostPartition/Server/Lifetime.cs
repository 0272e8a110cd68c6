using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using VmShunt.Ring.Memory;

namespace VmShunt.HostPartition;

/// <summary>
/// Decides when the process exits: at SIGTERM or SIGINT, or, with a linger time, that long after the last client
/// disconnected. Any thread.
/// </summary>
internal sealed class Lifetime : IDisposable
{
    private readonly TaskCompletionSource<string> _exit = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly PosixSignalRegistration[] _signals;
    private readonly Timer _timer;
    private readonly TimeSpan? _linger;
    private readonly ILogger _log;
    private int _clients;

    internal Lifetime(TimeSpan? linger, ILogger log)
    {
        _linger = linger;
        _log = log;
        _timer = new Timer(_ => ExitIfNoClients());
        _signals =
        [
            PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal),
            PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal),
        ];
    }

    /// <summary>Counts clients that connected (+1) or disconnected (−1).</summary>
    internal void ClientsChanged(int difference)
    {
        var now = Interlocked.Add(ref _clients, difference);
        if (now == 0 && _linger is { } linger) _timer.Change(linger, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Blocks until the process is to exit, and logs the reason.</summary>
    internal void WaitForExit() => _log.Stopping(_exit.Task.GetAwaiter().GetResult());

    public void Dispose()
    {
        foreach (var signal in _signals) signal.Dispose();
        _timer.Dispose();
    }

    private void ExitIfNoClients()
    {
        // Acquire is enough: a client that connects at this moment is disconnected by the exit either way.
        if (Ordered.Load(ref _clients) == 0)
            _exit.TrySetResult($"the last client disconnected {_linger!.Value.TotalSeconds:0.#} s ago");
    }

    private void OnSignal(PosixSignalContext context)
    {
        context.Cancel = true;
        _exit.TrySetResult($"{context.Signal} received");
    }
}
