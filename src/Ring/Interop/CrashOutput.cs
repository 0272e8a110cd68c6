using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Ring.Interop;

/// <summary>
/// Output and exit of a crashed process, which must not allocate and whose runtime may be in any state. Any thread; nothing
/// is allocated after <see cref="Prepare"/>.
/// </summary>
public static class CrashOutput
{
    private static readonly SafeFileHandle s_output = new(1, ownsHandle: false), s_errors = new(2, ownsHandle: false);

    // Native strings: the paths of the diagnostic sockets and pipes, which the runtime deletes at an orderly exit only.
    private static nint[] s_files = [];

    /// <summary>Loads and compiles everything that the other methods need.</summary>
    public static void Prepare()
    {
        Write(s_output, []);
        Write(s_errors, []);
        s_files =
        [
            .. new[] { "dotnet-diagnostic-", "clr-debug-pipe-" }
                .SelectMany(static name => Directory.GetFileSystemEntries(Path.GetTempPath(), $"{name}{Environment.ProcessId}-*"))
                .Select(Marshal.StringToCoTaskMemUTF8),
        ];
        foreach (var call in new[] { nameof(Libc.Exit), nameof(Libc.Unlink) })
            Marshal.Prelink(typeof(Libc).GetMethod(call, BindingFlags.Static | BindingFlags.NonPublic)!);
        var nothing = Marshal.StringToCoTaskMemUTF8("");
        Unlink([nothing]);
        Marshal.FreeCoTaskMem(nothing);
    }

    /// <summary>Writes to standard output.</summary>
    public static void WriteOutput(ReadOnlySpan<byte> utf8) => Write(s_output, utf8);

    /// <summary>Writes to standard error.</summary>
    public static void WriteError(ReadOnlySpan<byte> utf8) => Write(s_errors, utf8);

    /// <summary>Exits at once, as <c>_exit(2)</c> does: runs no handler, flushes nothing. Deletes the files of the runtime.</summary>
    [DoesNotReturn]
    public static void Exit(int code)
    {
        Unlink(s_files);
        Libc.Exit(code);
        throw new InvalidOperationException("_exit(2) does not return");
    }

    private static void Unlink(nint[] files)
    {
        foreach (var file in files) _ = Libc.Unlink(file);
    }

    private static void Write(SafeFileHandle target, ReadOnlySpan<byte> text)
    {
        while (true)
        {
            var n = Libc.Write(target, in MemoryMarshal.GetReference(text), (nuint)text.Length);
            if (n > 0) text = text[(int)n..];
            // An error has no remedy here.
            if (text.IsEmpty || (n <= 0 && !LibcError.Interrupted)) return;
        }
    }
}
