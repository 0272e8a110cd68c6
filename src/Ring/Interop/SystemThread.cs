namespace VmShunt.Ring.Interop;

/// <summary>Starts threads, of which the system may have none left for this process.</summary>
public static class SystemThread
{
    /// <summary>Starts a thread.</summary>
    /// <param name="thread">The thread, which was not started.</param>
    /// <exception cref="IOException">The system has no thread for this process; the message says which limits there are.</exception>
    public static void Start(Thread thread)
    {
        ArgumentNullException.ThrowIfNull(thread);
        try
        {
            thread.Start();
        }
        catch (Exception e) when (e is OutOfMemoryException or ThreadStartException)
        {
            throw new IOException("no thread can be started: this process or its user has as many as it may (ulimit -u, pids.max), or memory is short", e);
        }
    }
}
