using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Disk;

/// <summary>
/// A flush that keeps failing after its first failure: the kernel may drop dirty pages when fsync fails and lets the next
/// one succeed (fsync(2)). Any thread.
/// </summary>
internal sealed class DurableFlush(Action flush)
{
    private IOException? _firstFailure;

    /// <exception cref="IOException">This flush or an earlier one failed.</exception>
    internal void Run()
    {
        // Acquire: another thread's failure is seen as it was constructed.
        if (Ordered.Load(ref _firstFailure) is { } failure) throw new IOException($"an earlier flush failed, so writes may be lost: {failure.Message}", failure.HResult);
        try
        {
            flush();
        }
        catch (IOException e)
        {
            Ordered.Store(ref _firstFailure, e);
            throw;
        }
    }
}
