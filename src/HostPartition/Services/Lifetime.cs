using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using VmShunt.HostPartition.Log;

namespace VmShunt.HostPartition.Services;

/// <summary>
/// When the process ends: at a signal, or, with a linger time, when its last client has been gone that long. Any thread.
/// </summary>
internal sealed class Lifetime : IDisposable
{
    private readonly TaskCompletionSource<string> _end = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly PosixSignalRegistration[] _signals;
    private readonly Timer _timer;
    private readonly TimeSpan? _linger;
    private readonly ILogger _log;
    private int _clients;

    internal Lifetime(TimeSpan? linger, ILogger log)
    {
        _linger = linger;
        _log = log;
        _timer = new Timer(_ => EndIfAlone());
        _signals =
        [
            PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal),
            PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal),
        ];
    }

    /// <summary>Notes clients that came (+1) or went (−1).</summary>
    internal void ClientsChanged(int difference)
    {
        var now = Interlocked.Add(ref _clients, difference);
        if (now == 0 && _linger is { } linger) _timer.Change(linger, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Blocks until the process should end, and logs why.</summary>
    internal void WaitForEnd() => _log.Stopping(_end.Task.GetAwaiter().GetResult());

    public void Dispose()
    {
        foreach (var signal in _signals) signal.Dispose();
        _timer.Dispose();
    }

    private void EndIfAlone()
    {
        if (Interlocked.CompareExchange(ref _clients, 0, 0) == 0)
            _end.TrySetResult($"the last client has been gone for {_linger!.Value.TotalSeconds:0.#} s");
    }

    private void OnSignal(PosixSignalContext context)
    {
        context.Cancel = true;
        _end.TrySetResult($"{context.Signal} received");
    }
}
