using System.Runtime.ExceptionServices;
using Microsoft.Extensions.Logging;

namespace VmShunt.Terminal;

/// <summary>
/// The last line of defence of a server: an exception that no thread handles ends that thread, with a line in the log, and not
/// the process, which serves others. Threads that serve a peer have a defence of their own before it.
/// </summary>
public static partial class LastDefence
{
    private static int s_isUsed;

    /// <summary>Uses it for this process, from now on.</summary>
    /// <param name="log">Receives the line.</param>
    public static void Use(ILogger log)
    {
        if (Interlocked.Exchange(ref s_isUsed, 1) != 0) return;
        ExceptionHandling.SetUnhandledExceptionHandler(e =>
        {
            log.ThreadEnded(Thread.CurrentThread.Name ?? "without a name", e.Message);
            return true;
        });
    }

    [LoggerMessage(901, LogLevel.Critical, "a fault of this program: its thread {Thread} ended: {Error}")]
    private static partial void ThreadEnded(this ILogger log, string thread, string error);
}
