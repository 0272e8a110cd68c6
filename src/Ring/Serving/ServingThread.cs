using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Serving;

/// <summary>Threads of a session, for which the disposal of its <see cref="SessionListener"/> waits.</summary>
public static class ServingThread
{
    /// <summary>The listener of the calling thread's session, or null.</summary>
    [ThreadStatic]
    internal static SessionListener? Owner;

    /// <summary>Starts a background thread that is of the calling thread's session, if that has one: <see cref="SessionListener.IsOnOwnThread"/> is true on it.</summary>
    /// <param name="run">Runs on it.</param>
    /// <param name="name">Its name.</param>
    /// <returns>The thread, which has to end before the session does.</returns>
    /// <exception cref="IOException">The system has no thread for this process.</exception>
    public static Thread Start(Action run, string name)
    {
        var owner = Owner;
        var thread = new Thread(() =>
        {
            SystemThread.ShowName();
            Owner = owner;
            run();
        })
        { IsBackground = true, Name = name };
        SystemThread.Start(thread);
        return thread;
    }
}
