using System.Runtime.InteropServices;
using System.Text;

namespace VmShunt.Terminal;

/// <summary>
/// A line on a standard stream, by write(2). Not by the runtime's console, whose writers share a lock: a standard error that is
/// not read would stop standard output, too.
/// </summary>
internal static class StandardStream
{
    internal const int Output = 1, Error = 2;

    private const int EINTR = 4, EPIPE = 32;

    /// <summary>Writes a line and its end.</summary>
    /// <param name="descriptor">The stream.</param>
    /// <param name="line">The line.</param>
    /// <param name="why">Why it cannot be written.</param>
    /// <returns>False: it cannot be written. A pipe that has lost its reader takes everything.</returns>
    internal static bool TryWriteLine(int descriptor, string line, out string why)
    {
        var bytes = Encoding.UTF8.GetBytes(line + "\n");
        for (var done = 0; done < bytes.Length;)
        {
            var written = (int)Write(descriptor, done == 0 ? bytes : bytes[done..], bytes.Length - done);
            if (written > 0)
            {
                done += written;
                continue;
            }
            if (Marshal.GetLastPInvokeError() == EINTR) continue;
            why = Marshal.GetLastPInvokeErrorMessage();
            return Marshal.GetLastPInvokeError() == EPIPE;
        }
        why = "";
        return true;
    }

    [DllImport("libc", EntryPoint = "write", SetLastError = true)]
    private static extern nint Write(int descriptor, byte[] bytes, nint count);
}
