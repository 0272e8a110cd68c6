using System.Buffers.Binary;
using System.Collections.Concurrent;
using VmShunt.AhciBackend.Controller;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Doubles;

/// <summary>A controller's registers at an address, accessed by a function call; counts the accesses, and records them when asked to.</summary>
internal sealed class ControllerMmio(AhciController controller, ulong abar) : IMmio
{
    private ConcurrentQueue<(int Register, ulong? Value)>? _recorded;
    private int _accesses;

    internal int Accesses => Ordered.Load(ref _accesses);

    /// <summary>The accesses since <see cref="Record"/>: the register, and what was written to it.</summary>
    internal IReadOnlyCollection<(int Register, ulong? Value)> Recorded => _recorded!;

    internal void Record() => Ordered.Store(ref _recorded, new());

    public ulong Read(ulong address, int size)
    {
        Interlocked.Increment(ref _accesses);
        Ordered.Load(ref _recorded)?.Enqueue(((int)(address - abar), null));
        // The driver limits its number of polls, so a poll must take some time, as a VM exit does.
        Thread.Sleep(0);
        Thread.SpinWait(300);
        Span<byte> bytes = stackalloc byte[8];
        bytes.Clear();
        controller.Read(address - abar, bytes[..size]);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    public void Write(ulong address, int size, ulong value)
    {
        Interlocked.Increment(ref _accesses);
        Ordered.Load(ref _recorded)?.Enqueue(((int)(address - abar), value));
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        controller.Write(address - abar, bytes[..size]);
    }
}
