using System.Runtime.InteropServices;

namespace VmShunt.Ring.Interop;

/// <summary>The error of the last libc call.</summary>
internal static class LibcError
{
    /// <summary>An <see cref="IOException"/> for it; its <c>HResult</c> is the errno.</summary>
    /// <param name="operation">What failed, for the message.</param>
    internal static IOException Last(string operation)
    {
        var errno = Marshal.GetLastPInvokeError();
        return new IOException($"{operation}: {Marshal.GetPInvokeErrorMessage(errno)} (errno {errno}){Hint(errno)}", errno);
    }

    // What this program said about refusals, such as that it confined itself.
    private static string? Hint(int errno) => errno is Libc.EPERM or Libc.EACCES ? AppContext.GetData("VmShunt.RefusalHint") as string : null;

    internal static bool IsLocked => Marshal.GetLastPInvokeError() is Libc.EAGAIN or Libc.EACCES;

    internal static bool WouldBlock => Marshal.GetLastPInvokeError() == Libc.EAGAIN;

    internal static bool IsBusy => Marshal.GetLastPInvokeError() == Libc.EBUSY;

    internal static bool Interrupted => Marshal.GetLastPInvokeError() == Libc.EINTR;
}
