using System.Text.Json.Nodes;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Devices;
using VmShunt.Guest.Mode;
using VmShunt.Guest.Workloads;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Commands;

/// <summary>A running kernel as commands see it: what one command starts another may stop. One command at a time.</summary>
internal sealed class CommandSession(Kernel kernel) : IDisposable
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

    /// <summary>The guest's devices.</summary>
    /// <exception cref="InvalidOperationException">It has no machine.</exception>
    internal DeviceTree Devices => kernel.Devices ?? throw new InvalidOperationException("this guest has no machine, and so no devices: it was started with --bus");

    /// <summary>What may be done to the guest's stacks.</summary>
    /// <exception cref="InvalidOperationException">It has only one.</exception>
    internal StackControl Stacks => kernel.Stacks ?? throw new InvalidOperationException("this guest has one stack only: it was started with --bus");

    internal static string NameOf(GuestMode mode) => mode.ToString().ToLowerInvariant();

    /// <summary>Does a command's work; where the machine fails under it, that is a crash, before anything is unwound.</summary>
    internal JsonObject Watch(Func<CommandSession, JsonObject> action)
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
