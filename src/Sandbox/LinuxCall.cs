using System.Runtime.InteropServices;

namespace VmShunt.Sandbox;

/// <summary>
/// System calls that libc has no function for, or a function that acts on every thread: here each acts on the calling thread
/// alone, as the kernel does it. x86-64.
/// </summary>
internal static class LinuxCall
{
    internal const int EPERM = 1, ENOSYS = 38;

    internal const nint Execve = 59, SetGroups = 116, SetResUid = 117, SetResGid = 119, CapSet = 126, Prctl = 157, OpenAt = 257, SecComp = 317;
    internal const nint LandlockCreateRuleset = 444, LandlockAddRule = 445, LandlockRestrictSelf = 446;

    internal static nint Make(nint number, nint first = 0, nint second = 0, nint third = 0, nint fourth = 0, nint fifth = 0) =>
        SystemCall(number, first, second, third, fourth, fifth);

    internal static nint Make(nint number, nint first, byte[] second, nint third, nint fourth = 0) => SystemCall(number, first, second, third, fourth);

    internal static nint Make(nint number, byte[] first, nint second, nint third) => SystemCall(number, first, second, third);

    internal static nint Make(nint number, byte[] first, byte[] second) => SystemCall(number, first, second);

    internal static nint Make(nint number, nint first, nint second, byte[] third, nint fourth) => SystemCall(number, first, second, third, fourth);

    internal static nint Make(nint number, byte[] first, nint[] second, nint[] third) => SystemCall(number, first, second, third);

    internal static int LastError => Marshal.GetLastPInvokeError();

    /// <summary>An exception for the last call that failed.</summary>
    internal static IOException Failure(string what) => new($"{what}: {Marshal.GetPInvokeErrorMessage(LastError)} (errno {LastError})", LastError);

    /// <summary>A path or a name as the kernel reads it.</summary>
    internal static byte[] Text(string text) => [.. System.Text.Encoding.UTF8.GetBytes(text), 0];

    [DllImport("libc", EntryPoint = "getpwnam", SetLastError = true)]
    internal static extern nint GetPwNam(byte[] name);

    [DllImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static extern nint SystemCall(nint number, nint first, nint second, nint third, nint fourth, nint fifth);

    [DllImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static extern nint SystemCall(nint number, nint first, byte[] second, nint third, nint fourth);

    [DllImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static extern nint SystemCall(nint number, nint first, nint second, byte[] third, nint fourth);

    [DllImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static extern nint SystemCall(nint number, byte[] first, nint second, nint third);

    [DllImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static extern nint SystemCall(nint number, byte[] first, byte[] second);

    [DllImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static extern nint SystemCall(nint number, byte[] first, nint[] second, nint[] third);
}
