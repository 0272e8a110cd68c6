using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Doubles;

/// <summary>Guest memory of one region, which does not start at address 0, in a sealed memory file.</summary>
public sealed class TestMemory : IDisposable
{
    public const ulong Start = 0x4000_0000;

    private readonly MemoryRegion _region;

    /// <param name="bytes">The size.</param>
    /// <param name="file">The memory; owned. Null for a new one.</param>
    public TestMemory(int bytes, SafeFileHandle? file = null)
    {
        Bytes = bytes;
        File = file ?? SharedMemoryFile.Create("test", bytes);
        _region = MemoryRegion.Map(File, 0, (ulong)bytes, Start, Start);
        Memory = new GuestMemory(_region);
    }

    public int Bytes { get; }

    public ulong End => Start + (ulong)Bytes;

    public SafeFileHandle File { get; }

    public GuestMemory Memory { get; }

    public MemoryWindow Window(ulong address, int bytes)
    {
        Assert.True(Memory.TryGetWindow(address, bytes, out var window));
        return window;
    }

    public Span<byte> Span(ulong address, int bytes) => Memory.GetSpan(address, bytes);

    public void Dispose()
    {
        Memory.Dispose();
        _region.Dispose();
        File.Dispose();
    }
}
