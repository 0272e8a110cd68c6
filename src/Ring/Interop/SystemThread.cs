using System.Runtime.InteropServices;
using System.Text;

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

    /// <summary>
    /// Gives the calling thread its name in the system, too. The runtime does it through /proc from the thread that starts it, which a sandbox refuses.
    /// </summary>
    internal static void ShowName()
    {
        const int prctl = 157, PR_SET_NAME = 15, mostBytes = 15;
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64 || Thread.CurrentThread.Name is not { } name) return;
        Span<byte> text = stackalloc byte[mostBytes + 1];
        text.Clear();
        Encoding.UTF8.TryGetBytes(name.AsSpan(0, Math.Min(name.Length, mostBytes)), text[..mostBytes], out _);
        _ = Libc.SystemCall(prctl, PR_SET_NAME, ref text[0]);
    }
}
