using VmShunt.BlockDriver.Memory;
using VmShunt.Guest.Machine;

namespace VmShunt.Tests.Doubles;

/// <summary>Guest memory for tests of drivers without a device behind them.</summary>
internal static class Buffers
{
    private static readonly GuestPages s_pages = NewPages(64 << 20);

    internal static GuestBuffer Of(int bytes) => s_pages.Allocate(bytes);

    internal static GuestPages NewPages(long bytes) => GuestRam.Create(bytes).Pages();
}
