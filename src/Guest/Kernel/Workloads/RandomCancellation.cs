using VmShunt.Ring.Memory;

namespace VmShunt.Guest.Workloads;

/// <summary>
/// Cancels the requests of workers at random, on its own thread. A worker uses a token for many requests, until it is
/// cancelled.
/// </summary>
internal sealed class RandomCancellation : IDisposable
{
    private readonly CancellationTokenSource?[] _sources;
    private readonly Thread _thread;
    private readonly SharedFlag _stopping = new();

    internal RandomCancellation(int workers, int seed)
    {
        _sources = new CancellationTokenSource?[workers];
        _thread = new Thread(() => Run(new Random(seed))) { IsBackground = true, Name = "cancellation" };
        _thread.Start();
    }

    /// <summary>The token of a worker's next request. Called by the worker, while it has no request in flight.</summary>
    internal CancellationToken TokenOf(int worker)
    {
        var source = _sources[worker];
        if (source is null || source.IsCancellationRequested) Ordered.Store(ref _sources[worker], source = new CancellationTokenSource());
        return source.Token;
    }

    public void Dispose()
    {
        _stopping.Raise();
        _thread.Join();
    }

    private void Run(Random random)
    {
        while (!_stopping.IsRaised)
        {
            // The worker's continuation runs inline here, and submits its next request. Acquire: the source is complete.
            Ordered.Load(ref _sources[random.Next(_sources.Length)])?.Cancel();
            if (random.Next(16) == 0) Thread.Sleep(1);
            else Thread.Yield();
        }
    }
}
