using System.Runtime.InteropServices;

namespace VmShunt.Ring.Interop;

/// <summary>Turns <c>errno</c> into an exception that says what was being done.</summary>
internal static class LibcError
{
    /// <summary>An <see cref="IOException"/> for the last failed call; its <c>HResult</c> is the errno.</summary>
    internal static IOException Last(string what)
    {
        var errno = Marshal.GetLastPInvokeError();
        return new IOException($"{what}: {Marshal.GetPInvokeErrorMessage(errno)} (errno {errno})", errno);
    }

    internal static bool IsLocked => Marshal.GetLastPInvokeError() is Libc.EAGAIN or Libc.EACCES;

    internal static bool WouldWait => Marshal.GetLastPInvokeError() == Libc.EAGAIN;

    internal static bool IsBusy => Marshal.GetLastPInvokeError() == Libc.EBUSY;

    internal static bool Interrupted => Marshal.GetLastPInvokeError() == Libc.EINTR;
}
