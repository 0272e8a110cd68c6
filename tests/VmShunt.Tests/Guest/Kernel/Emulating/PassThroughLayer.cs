using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Guest.Kernel.Emulating;

/// <summary>A layer that passes register accesses and interrupts on, and counts the accesses.</summary>
internal sealed class PassThroughLayer(IMmio below, Action interrupt) : IRegisterLayer
{
    private int _accesses, _adopted, _retired;

    internal int Accesses => Ordered.Load(ref _accesses);

    internal int Adopted => Ordered.Load(ref _adopted);

    internal int Retired => Ordered.Load(ref _retired);

    /// <summary>Runs while the layer is put in.</summary>
    internal Action? OnAdopt { get; init; }

    public bool HasShunt => false;

    /// <summary>The path that the layer says every command took.</summary>
    internal RequestPath Path { get; set; } = RequestPath.Trap;

    public RequestPath PathOf(int slot) => Path;

    public ulong Read(ulong address, int size)
    {
        Interlocked.Increment(ref _accesses);
        return below.Read(address, size);
    }

    public void Write(ulong address, int size, ulong value)
    {
        Interlocked.Increment(ref _accesses);
        below.Write(address, size, value);
    }

    public void Adopt()
    {
        Interlocked.Increment(ref _adopted);
        OnAdopt?.Invoke();
    }

    public void Retire() => Interlocked.Increment(ref _retired);

    public void HandleInterrupt() => interrupt();
}
