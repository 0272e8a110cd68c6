namespace VmShunt.Guest.Workloads;

/// <summary>
/// Cancels what workers do at random moments, from a thread of its own. A worker's token is one for many requests, and is
/// new after it was cancelled.
/// </summary>
internal sealed class RandomCancellation : IDisposable
{
    private readonly CancellationTokenSource?[] _sources;
    private readonly Thread _thread;
    private int _stopping;

    internal RandomCancellation(int workers, int seed)
    {
        _sources = new CancellationTokenSource?[workers];
        _thread = new Thread(() => Run(new Random(seed))) { IsBackground = true, Name = "cancellation" };
        _thread.Start();
    }

    /// <summary>What may cancel a worker's next request. The worker's thread, while it has none in flight.</summary>
    internal CancellationToken TokenOf(int worker)
    {
        var source = _sources[worker];
        if (source is null || source.IsCancellationRequested) _sources[worker] = source = new CancellationTokenSource();
        return source.Token;
    }

    public void Dispose()
    {
        Interlocked.Exchange(ref _stopping, 1);
        _thread.Join();
    }

    private void Run(Random random)
    {
        while (_stopping == 0)
        {
            // What goes on after a cancellation runs here, and submits the worker's next request.
            _sources[random.Next(_sources.Length)]?.Cancel();
            if (random.Next(16) == 0) Thread.Sleep(1);
            else Thread.Yield();
        }
    }
}
