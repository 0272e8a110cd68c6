using System.Text.Json.Nodes;
using VmShunt.Guest.Devices;
using VmShunt.Guest.Mode;
using VmShunt.Guest.Requests;
using VmShunt.Guest.Workloads;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Commands;

/// <summary>A running kernel and what commands started on it: one command may stop what another started. One command at a time.</summary>
internal sealed class CommandSession(Kernel kernel) : IDisposable
{
    internal Kernel Kernel => kernel;

    /// <summary>The running verified load, or null.</summary>
    internal VerifiedLoad? Load { get; set; }

    /// <summary>The emulating stack that an application built, or null.</summary>
    internal EmulatingStack? Stack { get; set; }

    /// <summary>The class driver of a stack.</summary>
    /// <param name="stack">"emulating", "enlightened", "application"; null: enlightened if there is one, otherwise emulating.</param>
    /// <exception cref="InvalidOperationException">The stack does not exist.</exception>
    internal DiskClassDriver Disk(string? stack) => stack switch
    {
        "application" => Stack?.Disk ?? throw new InvalidOperationException("no application has built a stack; build one with: stack build"),
        "emulating" when kernel.IsEmulatingRemoved => throw new InvalidOperationException("the emulating stack was removed"),
        "emulating" => kernel.EmulatingDisk ?? throw new InvalidOperationException("this guest was started with --bus and has no emulating stack"),
        "enlightened" => kernel.EnlightenedDisk ?? throw new InvalidOperationException($"there is no enlightened stack in {NameOf(kernel.Mode)} mode; change the mode with: mode enlightened"),
        _ => kernel.EnlightenedDisk ?? kernel.EmulatingDisk ?? throw new InvalidOperationException("this guest has no disk"),
    };

    /// <summary>The guest's devices.</summary>
    /// <exception cref="InvalidOperationException">The guest has no machine.</exception>
    internal DeviceTree Devices => kernel.Devices ?? throw new InvalidOperationException("this guest was started with --bus and has no machine, so it has no devices");

    /// <summary>Controls the guest's stacks.</summary>
    /// <exception cref="InvalidOperationException">The guest has one stack only.</exception>
    internal StackControl Stacks => kernel.Stacks ?? throw new InvalidOperationException("this guest was started with --bus and has one stack only");

    internal static string NameOf(GuestMode mode) => mode.ToString().ToLowerInvariant();

    /// <summary>Runs a command. If the machine fails meanwhile, the kernel crashes before the stack is unwound.</summary>
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

    // What a user, a file or a device can cause fails the command; the rest is a fault of the kernel.
    private static bool IsFatal(Exception e) => e is HypervisorLostException or MachineCheckException or OutOfMemoryException
        or NullReferenceException or IndexOutOfRangeException or InvalidCastException or ArithmeticException or KeyNotFoundException;

    public void Dispose()
    {
        Load?.Stop();
        Load?.Dispose();
        Stack?.Dispose();
        kernel.Dispose();
    }

    /// <summary>The answer of a command without results.</summary>
    internal static JsonObject Done => [];
}
