using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Ring.Memory;

namespace VmShunt.Guest.Emulating;

/// <summary>
/// The path from a port driver to the registers of one controller, and from the controller's interrupt to the driver:
/// direct, or through a layer. Without a layer an access costs one field load more than the machine's. Any thread.
/// </summary>
/// <param name="machine">Reaches the registers: each access traps.</param>
/// <param name="interrupt">The driver's interrupt handler.</param>
internal sealed class RegisterPath(IMmio machine, Action interrupt) : IMmio, ICommandPaths
{
    private IRegisterLayer? _layer;
    private int _handling;

    /// <summary>The layer that is in the path, or null.</summary>
    internal IRegisterLayer? Layer => Ordered.Load(ref _layer);

    public bool HasShunt => Layer is { HasShunt: true };

    public RequestPath PathOf(int slot) => Layer?.PathOf(slot) ?? RequestPath.Trap;

    public ulong Read(ulong address, int size) => Layer is { } layer ? layer.Read(address, size) : machine.Read(address, size);

    public void Write(ulong address, int size, ulong value)
    {
        if (Layer is { } layer) layer.Write(address, size, value);
        else machine.Write(address, size, value);
    }

    /// <summary>Handles an interrupt that the machine injected.</summary>
    internal void HandleInterrupt()
    {
        // Counted before the layer is loaded: AwaitHandlers then misses no thread that uses the old one.
        Interlocked.Increment(ref _handling);
        try
        {
            if (Layer is { } layer) layer.HandleInterrupt();
            else interrupt();
        }
        finally
        {
            Interlocked.Decrement(ref _handling);
        }
    }

    /// <summary>Puts a layer in, or with null takes it out.</summary>
    internal void Exchange(IRegisterLayer? layer) => Interlocked.Exchange(ref _layer, layer);

    /// <summary>Returns when no thread handles an interrupt by the way that the path had before the last exchange.</summary>
    internal void AwaitHandlers()
    {
        var wait = new SpinWait();
        while (Ordered.Load(ref _handling) != 0) wait.SpinOnce();
    }
}
