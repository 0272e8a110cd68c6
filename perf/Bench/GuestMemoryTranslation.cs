using BenchmarkDotNet.Attributes;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;

namespace VmShunt.Perf.Bench;

/// <summary>
/// The cost of translating and checking random guest-physical addresses: to a window of 16 bytes (headers, rings, tables)
/// and to an I/O vector of 4 KiB (data).
/// </summary>
[MemoryDiagnoser]
public class GuestMemoryTranslation
{
    private const int Lookups = 1024, DataBytes = 4096, HeaderBytes = 16;
    private const ulong RegionBytes = 1 << 20, Gap = 1 << 20;

    private readonly IoVectors _vectors = new();
    private SafeFileHandle _file = null!;
    private MemoryRegion[] _regions = [];
    private GuestMemory _one = null!, _eight = null!, _adjacent = null!;
    private ulong[] _inOne = [], _inEight = [], _acrossTwo = [];
    private MemoryWindow _last;

    [GlobalSetup]
    public void Setup()
    {
        _file = SharedMemoryFile.Create("vmshunt-bench", (long)RegionBytes * 8);
        // Eight regions with holes between them, and two that are adjacent in guest-physical but not in virtual addresses.
        MemoryRegion[] apart = [.. Enumerable.Range(0, 8).Select(i => MemoryRegion.Map(_file, (ulong)i * RegionBytes, RegionBytes, (ulong)i * (RegionBytes + Gap)))];
        MemoryRegion[] touching = [MemoryRegion.Map(_file, RegionBytes * 4, RegionBytes, 0), MemoryRegion.Map(_file, 0, RegionBytes, RegionBytes)];
        _regions = [.. apart, .. touching];
        _one = new GuestMemory(apart[0]);
        _eight = new GuestMemory(apart);
        _adjacent = new GuestMemory(touching);

        var random = new Random(1);
        ulong Within() => (ulong)random.NextInt64((long)RegionBytes - DataBytes) & ~511UL;
        _inOne = [.. Enumerable.Range(0, Lookups).Select(_ => Within())];
        _inEight = [.. Enumerable.Range(0, Lookups).Select(_ => ((ulong)random.Next(8) * (RegionBytes + Gap)) + Within())];
        _acrossTwo = [.. Enumerable.Range(0, Lookups).Select(_ => RegionBytes - ((ulong)random.Next(1, 8) * 512))];
        Tiering.Settle(WindowIn1Region);
        Tiering.Settle(WindowAmong8Regions);
        Tiering.Settle(DataAmong8Regions);
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        _one.Dispose();
        _eight.Dispose();
        _adjacent.Dispose();
        foreach (var region in _regions) region.Dispose();
        _file.Dispose();
    }

    [Benchmark(Baseline = true, OperationsPerInvoke = Lookups)]
    public void WindowIn1Region() => Windows(_one, _inOne);

    [Benchmark(OperationsPerInvoke = Lookups)]
    public void WindowAmong8Regions() => Windows(_eight, _inEight);

    [Benchmark(OperationsPerInvoke = Lookups)]
    public void DataIn1Region() => Data(_one, _inOne, pieces: 1);

    [Benchmark(OperationsPerInvoke = Lookups)]
    public void DataAmong8Regions() => Data(_eight, _inEight, pieces: 1);

    [Benchmark(OperationsPerInvoke = Lookups)]
    public void DataAcross2Regions() => Data(_adjacent, _acrossTwo, pieces: 2);

    private void Windows(GuestMemory memory, ulong[] addresses)
    {
        foreach (var address in addresses)
            if (!memory.TryGetWindow(address, HeaderBytes, out _last)) Refused(address);
    }

    private void Data(GuestMemory memory, ulong[] addresses, int pieces)
    {
        foreach (var address in addresses)
        {
            _vectors.Clear();
            if (!memory.TryAppend(address, DataBytes, deviceWrites: true, _vectors) || _vectors.Count != pieces) Refused(address);
        }
    }

    private static void Refused(ulong address) => throw new InvalidOperationException($"address {address:x} is not translated correctly");
}
