using System.Runtime.InteropServices;
using CsCheck;
using VmShunt.AhciBackend.Controller;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;
using Xunit.Abstractions;

namespace VmShunt.Tests.HostPartition.Ahci.Controller;

/// <summary>The PRDT walker on any table, valid or not, against a reference that walks byte by byte (AHCI 1.3.1 §4.2.3.3).</summary>
public sealed class PrdtCursorTests : IDisposable
{
    private const int SmallSector = 512;

    // Two regions that touch, and one far from them. The table is at the end of a region, so that it may be cut.
    private const ulong Low = 0x1_0000, Middle = 0x2_0000, High = 0x1_0000_0000, RegionBytes = 0x1_0000;
    private const ulong TableEnd = High + RegionBytes;

    private static readonly Gen<ulong> s_address = Gen.Frequency<ulong>(
        (8, Gen.Select(Gen.OneOf<ulong>(Low, Middle), Gen.Int[0, 0x3fff], static (region, word) => region + 2 * (ulong)word)),
        (2, Gen.Select(Gen.Int[-64, 64], static words => (ulong)((long)Middle + 2 * words))),
        (1, Gen.Select(Gen.OneOf<ulong>(Low, Low + RegionBytes, Middle + RegionBytes, High), Gen.Int[-9, 9], static (edge, bytes) => edge + (ulong)(long)bytes)),
        (1, Gen.OneOf<ulong>(0, 1, 0x5000_0000, ulong.MaxValue - 1, ulong.MaxValue)));

    private static readonly Gen<int> s_bytes = Gen.Frequency<int>(
        (6, Gen.Select(Gen.Int[1, 1500], static words => 2 * words)),
        (3, Gen.Const(2)),
        (1, Gen.Int[1, 600]),
        (1, Gen.OneOf<int>(PrdtEntry.MaxBytes, PrdtEntry.MaxBytes - 1, 0x2_0000)));

    private static readonly Gen<Entry> s_entry = Gen.Select(s_address, s_bytes, Gen.Bool, static (address, bytes, interrupt) => new Entry(address, bytes, interrupt));

    // More entries than one list takes, in small sectors and in large ones.
    private static readonly Gen<Entry[]> s_scattered =
        Gen.Select(Gen.Int[500, 4000], Gen.Int[0, 0x1000], Gen.Int[1, 3], Gen.Int[2, 8], static (count, start, words, stride) =>
            Enumerable.Range(0, count).Select(i => new Entry(Low + 2 * (ulong)(start + stride / 2 * i), 2 * words, i % 7 == 0)).ToArray());

    private static readonly Gen<Scenario> s_scenario =
        from table in Gen.Frequency<Entry[]>((4, s_entry.Array[0, 24]), (1, s_scattered))
        from sectors in Gen.Int[1, 24]
        from deviceWrites in Gen.Bool
        from missing in Gen.Frequency<int>((6, Gen.Const(0)), (1, Gen.Int[1, 3]))
        select new Scenario(table, sectors, deviceWrites, missing);

    private readonly ITestOutputHelper _output;
    private readonly MemoryRegion[] _regions;
    private readonly GuestMemory _memory;
    private readonly DmaGate _gate = new();

    public PrdtCursorTests(ITestOutputHelper output)
    {
        _output = output;
        using var file = SharedMemoryFile.Create("prdt-test", 3 * (long)RegionBytes);
        _regions = [MemoryRegion.Map(file, 0, RegionBytes, Low), MemoryRegion.Map(file, RegionBytes, RegionBytes, Middle), MemoryRegion.Map(file, 2 * RegionBytes, RegionBytes, High)];
        _memory = new GuestMemory(_regions);
        _gate.Replace(_memory);
    }

    public void Dispose()
    {
        _memory.Dispose();
        foreach (var region in _regions) region.Dispose();
    }

    [Theory]
    [InlineData(SmallSector)]
    [InlineData(4096)]
    public void Any_table_yields_the_bytes_or_the_fault_of_the_reference(int sector) =>
        s_scenario.Sample(scenario => Run(scenario, sector), writeLine: _output.WriteLine, iter: 3000, threads: 1, print: static scenario =>
            $"{scenario.Sectors} sectors, device writes {scenario.DeviceWrites}, {scenario.Missing} entries missing, table of {scenario.Table.Length}: "
            + string.Join(' ', scenario.Table.Take(30).Select(static entry => $"{entry.Address:x}+{entry.Bytes}{(entry.Interrupt ? "I" : "")}")));

    [Fact]
    public void An_aborted_command_gets_no_memory()
    {
        var cursor = new PrdtCursor(_gate, SmallSector);
        Store([new Entry(Low, 4096, false)], missing: 0, out var table);
        cursor.Start(table, 1);
        Assert.True(cursor.TryGather(SmallSector, deviceWrites: true));
        _gate.Abort();
        Assert.False(cursor.TryStore(new byte[SmallSector]));
        Assert.False(cursor.TryGather(SmallSector, deviceWrites: true));
        Assert.Equal((PortInterrupt.None, 0), (cursor.Fault, cursor.Gathered));
    }

    [Fact]
    public void A_fault_is_final()
    {
        var cursor = new PrdtCursor(_gate, SmallSector);
        Store([new Entry(Low, 256, false)], missing: 0, out var table);
        cursor.Start(table, 1);
        for (var i = 0; i < 3; i++)
        {
            Assert.False(cursor.TryGather(SmallSector, deviceWrites: true));
            Assert.Equal(PortInterrupt.OFS | PortInterrupt.IFS, cursor.Fault);
        }
        cursor.Start(table, 1);
        Assert.Equal(PortInterrupt.None, cursor.Fault);
    }

    private void Run(Scenario scenario, int sector)
    {
        Fill();
        Store(scenario.Table, scenario.Missing, out var table);
        var bytes = scenario.Sectors * sector;
        var (expected, fault, raises) = Reference(scenario, bytes, table);
        var cursor = new PrdtCursor(_gate, sector);
        cursor.Start(table, scenario.Table.Length);
        var gathered = new List<byte>();
        while (gathered.Count < bytes)
        {
            if (!cursor.TryGather(bytes - gathered.Count, scenario.DeviceWrites)) break;
            var piece = new byte[cursor.Gathered];
            Assert.True(piece.Length > 0 && piece.Length % sector == 0, $"a list of {piece.Length} bytes");
            Assert.True(cursor.TryLoad(piece));
            gathered.AddRange(piece);
        }
        Assert.Equal(fault, cursor.Fault);
        // With a fault the lists before it may have been returned.
        Assert.True(expected.AsSpan(0, gathered.Count).SequenceEqual(CollectionsMarshal.AsSpan(gathered)), "other bytes");
        if (fault != PortInterrupt.None) return;
        Assert.Equal((bytes, raises), (gathered.Count, cursor.RaisesDescriptorProcessed));
    }

    /// <returns>The bytes before the first fault, the fault, and whether an entry with the I bit was used up.</returns>
    private (byte[] Bytes, PortInterrupt Fault, bool RaisesDescriptorProcessed) Reference(Scenario scenario, int length, ulong table)
    {
        var bytes = new List<byte>();
        var raises = false;
        for (var i = 0; i < scenario.Table.Length && bytes.Count < length; i++)
        {
            if (table + 16 * (ulong)(i + 1) > TableEnd) return ([.. bytes], PortInterrupt.HBFS, raises);
            var entry = scenario.Table[i];
            if (entry.Address % 2 != 0 || entry.Bytes % 2 != 0) return ([.. bytes], PortInterrupt.HBFS, raises);
            for (var at = 0; at < entry.Bytes; at++)
            {
                if (bytes.Count == length) return ([.. bytes], PortInterrupt.None, raises);
                var address = unchecked(entry.Address + (ulong)at);
                if (!(address is >= Low and < Middle + RegionBytes or >= High and < High + RegionBytes)) return ([.. bytes], PortInterrupt.HBFS, raises);
                bytes.Add(_memory.GetSpan(address, 1)[0]);
            }
            raises |= entry.Interrupt;
        }
        return ([.. bytes], bytes.Count < length ? PortInterrupt.OFS | PortInterrupt.IFS : PortInterrupt.None, raises);
    }

    // Each 16-bit word holds its number.
    private void Fill()
    {
        foreach (var region in (ulong[])[Low, Middle, High])
        {
            var words = MemoryMarshal.Cast<byte, ushort>(_memory.GetSpan(region, (int)RegionBytes));
            for (var i = 0; i < words.Length; i++) words[i] = (ushort)(region / 2 + (ulong)i);
        }
    }

    /// <summary>Writes a table whose last entries are past the end of guest memory.</summary>
    private void Store(Entry[] entries, int missing, out ulong table)
    {
        table = TableEnd - 16 * (ulong)Math.Max(0, entries.Length - missing);
        for (var i = 0; i < entries.Length - missing; i++)
            Assert.True(_memory.TryWrite(table + 16 * (ulong)i, new PrdtEntry { Address = entries[i].Address, ByteCount = entries[i].Bytes, Interrupt = entries[i].Interrupt }));
    }

    private sealed record Entry(ulong Address, int Bytes, bool Interrupt);

    /// <param name="Table">The entries.</param>
    /// <param name="Sectors">The length of the transfer.</param>
    /// <param name="DeviceWrites">Its direction.</param>
    /// <param name="Missing">How many of the last entries are outside guest memory.</param>
    private sealed record Scenario(Entry[] Table, int Sectors, bool DeviceWrites, int Missing);
}
