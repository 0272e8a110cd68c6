using System.Text.Json.Nodes;
using VmShunt.Guest.Block;
using VmShunt.Guest.Devices;
using VmShunt.Guest.Workloads;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Commands;

/// <summary>A running kernel as commands see it: what one command starts another may stop. One command at a time.</summary>
internal sealed class Session(Kernel kernel) : IDisposable
{
    internal Kernel Kernel => kernel;

    /// <summary>The verified load that runs, or null.</summary>
    internal VerifiedLoad? Load { get; set; }

    /// <summary>The emulating stack that an application has built, or null.</summary>
    internal EmulatingStack? Stack { get; set; }

    /// <summary>The class driver of a stack.</summary>
    /// <param name="stack">"emulating", "enlightened", "application", or null for the best there is.</param>
    /// <exception cref="InvalidOperationException">There is no such stack now.</exception>
    internal DiskClassDriver Disk(string? stack) => stack switch
    {
        "application" => Stack?.Disk ?? throw new InvalidOperationException("no application has built a stack; have one built with: stack build"),
        "emulating" when kernel.IsEmulatingRemoved => throw new InvalidOperationException("the emulating stack was removed"),
        "emulating" => kernel.EmulatingDisk ?? throw new InvalidOperationException("this guest has no emulating stack: it was started with --bus"),
        "enlightened" => kernel.EnlightenedDisk ?? throw new InvalidOperationException($"there is no enlightened stack in {kernel.Mode} mode; enter it with: mode enlightened"),
        _ => kernel.EnlightenedDisk ?? kernel.EmulatingDisk ?? throw new InvalidOperationException("this guest has no disk"),
    };

    internal static string NameOf(GuestMode mode) => mode.ToString().ToLowerInvariant();

    /// <summary>Does a command's work; where the machine fails under it, that is a crash, before anything is unwound.</summary>
    internal JsonObject Watch(Func<Session, JsonObject> action)
    {
        try
        {
            return action(this);
        }
        catch (Exception e) when (IsFatal((e as AggregateException)?.InnerException ?? e))
        {
            kernel.Die((e as AggregateException)?.InnerException ?? e);
            throw;
        }
    }

    private static bool IsFatal(Exception e) => e is HypervisorLostException or MachineCheckException or OutOfMemoryException;

    public void Dispose()
    {
        Load?.Stop();
        Load?.Dispose();
        Stack?.Dispose();
        kernel.Dispose();
    }

    /// <summary>An answer that says only that it was done.</summary>
    internal static JsonObject Done => [];
}
