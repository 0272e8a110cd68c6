namespace VmShunt.HostPartition.Disk;

/// <summary>
/// A flush whose success means what it says. One that failed may have dropped what it should have kept, and the kernel
/// lets the next one succeed all the same (fsync(2)): so after the first failure every flush fails. Any thread.
/// </summary>
internal sealed class DurableFlush(Action flush)
{
    private IOException? _lost;

    /// <exception cref="IOException">This flush failed, or one before it.</exception>
    internal void Run()
    {
        if (_lost is { } lost) throw new IOException($"an earlier flush failed, so writes may be lost: {lost.Message}", lost.HResult);
        try
        {
            flush();
        }
        catch (IOException e)
        {
            _lost = e;
            throw;
        }
    }
}
