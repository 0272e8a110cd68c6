namespace VmShunt.BlockBackend.Own;

/// <summary>Limits the calls into a disk that run at once. Any thread; allocates nothing once created.</summary>
internal sealed class CallGate : IDisposable
{
    private readonly Lock? _one;
    private readonly SemaphoreSlim? _several;

    /// <param name="concurrency">The most calls at once; <see cref="int.MaxValue"/> for no limit.</param>
    internal CallGate(int concurrency)
    {
        if (concurrency == 1) _one = new Lock();
        else if (concurrency < int.MaxValue) _several = new SemaphoreSlim(concurrency);
    }

    internal void Enter()
    {
        _one?.Enter();
        _several?.Wait();
    }

    internal void Exit()
    {
        _one?.Exit();
        _several?.Release();
    }

    public void Dispose() => _several?.Dispose();
}
