using System.Collections.Concurrent;
using VmShunt.Ring.Memory;
using VmShunt.Trap.VfioUser;

namespace VmShunt.Tests.Trap.VfioUser;

/// <summary>A PCI device double: registers that store what is written, and two that raise and lower the interrupt.</summary>
internal sealed class RegisterDevice(VfioInterrupt interrupt) : IVfioUserDevice
{
    internal const ulong RaiseRegister = 0x100, LowerRegister = 0x104, RefusedRegister = 0x108;
    internal const int BarBytes = 4096, ConfigurationBytes = 256;

    internal byte[] Bar { get; } = new byte[BarBytes];

    internal byte[] Configuration { get; } = new byte[ConfigurationBytes];

    internal ConcurrentQueue<string> Events { get; } = new();

    /// <summary>The bytes allocated by the serving thread up to its last read.</summary>
    internal long AllocatedByServer { get; private set; }

    internal GuestMemory? Memory { get; private set; }

    internal VfioInterrupt Interrupt { get; } = interrupt;

    public IReadOnlyList<VfioRegionInfo> Regions { get; } =
    [
        default, default, default, default, default,
        new(VfioRegionFlags.Read | VfioRegionFlags.Write, BarBytes),
        default,
        new(VfioRegionFlags.Read | VfioRegionFlags.Write, ConfigurationBytes),
        default,
    ];

    public IReadOnlyList<VfioIrqInfo> Irqs => VfioPciIrq.PinAndOneMessage;

    public bool ReadRegion(int region, ulong offset, Span<byte> data)
    {
        AllocatedByServer = GC.GetAllocatedBytesForCurrentThread();
        (region == VfioPciRegion.Bar5 ? Bar : Configuration).AsSpan((int)offset, data.Length).CopyTo(data);
        return true;
    }

    public bool WriteRegion(int region, ulong offset, ReadOnlySpan<byte> data)
    {
        if (region == VfioPciRegion.Bar5 && offset == RefusedRegister) return false;
        data.CopyTo((region == VfioPciRegion.Bar5 ? Bar : Configuration).AsSpan((int)offset));
        if (region == VfioPciRegion.Bar5 && offset == RaiseRegister) Interrupt.Raise();
        if (region == VfioPciRegion.Bar5 && offset == LowerRegister) Interrupt.Lower();
        return true;
    }

    public void SetMemory(GuestMemory? memory) => Memory = memory;

    public void Reset()
    {
        Array.Clear(Configuration);
        Events.Enqueue("reset");
    }

    public void Dispose() => Events.Enqueue("disposed");
}
