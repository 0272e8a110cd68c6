using VmShunt.Ring.Memory;
using VmShunt.Terminal;

namespace VmShunt.Guest.Loader;

/// <summary>
/// The options that create the machine. The kernel parses and validates the whole command line; the loader reads as little
/// as possible, so that it does not change with every kernel.
/// </summary>
internal sealed record LoaderOptions(string HypervisorSocket, long MemoryBytes, int Processors, TimeSpan Wait)
{
    private const long DefaultMemory = 64 << 20;
    private const int DefaultProcessors = 1;
    private const int LongestWait = 3600;

    // The kernel says what it takes; this keeps the sum below in range.
    private const int LargestCount = 1000;

    // For boot, interrupts, crash, threads without their own, and the queues of a bus. A processor that never starts is free.
    private const int KernelProcessors = 24;

    /// <summary>Finds the options.</summary>
    /// <returns>Null without a machine: the kernel's parser then prints the help or an error.</returns>
    /// <exception cref="BootException">A value is invalid.</exception>
    internal static LoaderOptions? Scan(string[] args)
    {
        if (args.Any(a => a is "--help" or "-h" or "-?" or "/h" or "/?" or "--version")) return null;
        var socket = ValueOf(args, "--hypervisor");
        if (socket is null) return null;
        var memory = DefaultMemory;
        if (ValueOf(args, "--memory") is { } size && !ByteSize.TryParse(size, out memory))
            throw new BootException($"--memory {size}: a size such as 64M is expected");
        var processors = DefaultProcessors;
        if (ValueOf(args, "--processors") is { } count && !(StrictValues.TryParse(count, out processors) && processors is >= 1 and <= LargestCount))
            throw new BootException($"--processors {count}: a number from 1 on is expected");
        double wait = 0;
        if (ValueOf(args, "--wait") is { } seconds && !(StrictValues.TryParse(seconds, out wait) && wait is >= 0 and <= LongestWait))
            throw new BootException($"--wait {seconds}: 0 to {LongestWait} seconds are expected");
        return new LoaderOptions(socket, memory, processors + KernelProcessors, TimeSpan.FromSeconds(wait));
    }

    private static string? ValueOf(string[] args, string name)
    {
        for (var i = 0; i < args.Length; i++)
        {
            if (args[i] == name) return i + 1 < args.Length ? args[i + 1] : null;
            if (args[i].StartsWith(name + "=", StringComparison.Ordinal)) return args[i][(name.Length + 1)..];
        }
        return null;
    }
}
