using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Ring.Interop;

/// <summary>
/// What a process that can allocate nothing any more, and whose runtime may be in any state, can still do: say something
/// and end. Any thread; nothing is allocated after <see cref="Prepare"/>.
/// </summary>
public static unsafe class LastWords
{
    private static readonly SafeFileHandle s_output = new(1, ownsHandle: false), s_errors = new(2, ownsHandle: false);

    // Zero-terminated paths of files that the runtime makes for its tools, and would delete at an orderly end.
    private static byte[][] s_files = [];

    /// <summary>Has everything that the others need loaded and compiled.</summary>
    public static void Prepare()
    {
        Write(s_output, []);
        Write(s_errors, []);
        s_files =
        [
            .. new[] { "dotnet-diagnostic-", "clr-debug-pipe-" }
                .SelectMany(static name => Directory.GetFileSystemEntries(Path.GetTempPath(), $"{name}{Environment.ProcessId}-*"))
                .Select(static path => Encoding.UTF8.GetBytes(path + '\0')),
        ];
        foreach (var call in new[] { nameof(Libc.Exit), nameof(Libc.Unlink) })
            Marshal.Prelink(typeof(Libc).GetMethod(call, BindingFlags.Static | BindingFlags.NonPublic)!);
        Unlink([[0]]);
    }

    /// <summary>Writes a text to standard output.</summary>
    public static void Say(ReadOnlySpan<byte> utf8) => Write(s_output, utf8);

    /// <summary>Writes a text to standard error.</summary>
    public static void Complain(ReadOnlySpan<byte> utf8) => Write(s_errors, utf8);

    /// <summary>Ends the process as it is: nothing is run, flushed or waited for. The files that its runtime made go with it.</summary>
    [DoesNotReturn]
    public static void Exit(int code)
    {
        Unlink(s_files);
        Libc.Exit(code);
        throw new InvalidOperationException("_exit(2) does not return");
    }

    private static void Unlink(byte[][] files)
    {
        foreach (var file in files)
        {
            fixed (byte* path = file) _ = Libc.Unlink(path);
        }
    }

    private static void Write(SafeFileHandle target, ReadOnlySpan<byte> text)
    {
        fixed (byte* data = text)
        {
            for (var done = 0; ;)
            {
                var n = Libc.Write(target, data + done, (nuint)(text.Length - done));
                if (n > 0) done += (int)n;
                // Nobody reads it, or all is said: what else could be done?
                if (done == text.Length || (n <= 0 && !LibcError.Interrupted)) return;
            }
        }
    }
}
