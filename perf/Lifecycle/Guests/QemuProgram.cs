using System.Collections.Concurrent;
using System.Diagnostics;
using VmShunt.Perf.Lifecycle.Processes;

namespace VmShunt.Perf.Lifecycle.Guests;

/// <summary>A QEMU that tests run: the machine's, or that of Debian's sid.</summary>
/// <param name="IsSid">Whether it is sid's.</param>
internal sealed record QemuProgram(bool IsSid)
{
    private static readonly ConcurrentDictionary<bool, string> s_versions = [];

    internal static QemuProgram Machine { get; } = new(IsSid: false);

    internal static QemuProgram Sid { get; } = new(IsSid: true);

    /// <summary>The program and its first arguments.</summary>
    internal string[] Command => IsSid ? QemuSid.Command() : [Installed.Require("qemu-system-x86_64")];

    /// <summary>The option of a socket chardev that reconnects after a second; 9.2 renamed it.</summary>
    internal string Reconnect => IsSid ? ",reconnect-ms=1000" : ",reconnect=1";

    /// <summary>Its version, such as 7.2.22.</summary>
    internal string Version => s_versions.GetOrAdd(IsSid, _ => ReadVersion());

    internal static QemuProgram Of(string name) => name == "sid" ? Sid : Machine;

    private string ReadVersion()
    {
        using var process = Process.Start(new ProcessStartInfo(Command[0], [.. Command[1..], "--version"]) { RedirectStandardOutput = true })!;
        // QEMU emulator version 7.2.22 (Debian ...)
        return process.StandardOutput.ReadToEnd().Split(' ') is [_, _, _, var version, ..] ? version : "unknown";
    }
}
