using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Memory;

/// <summary>Guest memory whose file another process has truncated: a transfer fails, and the process continues.</summary>
public sealed class TruncatedMemoryTests : IDisposable
{
    private const int Bytes = 1 << 18;

    private readonly string _path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void Clearing_and_copying_fail_past_the_new_end_and_work_before_it()
    {
        File.WriteAllBytes(_path, [.. Enumerable.Repeat((byte)7, Bytes)]);
        using var file = File.OpenHandle(_path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        using var region = MemoryRegion.Map(file, 0, Bytes, TestMemory.Start, TestMemory.Start);
        using var memory = new GuestMemory(region);
        using var source = new PrivateMemory(Bytes);
        source.At(0, Bytes).Fill(9);
        RandomAccess.SetLength(file, Bytes / 2);
        for (var repeat = 0; repeat < 100; repeat++)
        {
            var pieces = new IoVectors();
            Assert.True(memory.TryAppend(TestMemory.Start + Bytes / 2 - 4096, 8192, true, pieces));
            Assert.Throws<IOException>(pieces.Zero);
            Assert.Throws<IOException>(() => pieces.ZeroFrom(5000));
            Assert.Throws<IOException>(() => source.Read(pieces, 0));
            Assert.Throws<IOException>(() => pieces.CopyFrom(source.At(0, 8192)));

            pieces.Clear();
            Assert.True(memory.TryAppend(TestMemory.Start + 1, 9001, true, pieces));
            source.Read(pieces, 0);
            pieces.ZeroFrom(9000);
            Assert.Equal([9, 9, 0, 7], Some(8998, 8999, 9000, 9001));
            pieces.Zero();
            Assert.Equal([7, 0, 0, 7], Some(-1, 0, 9000, 9001));
        }

        byte[] Some(params int[] offsets) => [.. offsets.Select(offset => memory.GetSpan((ulong)((long)TestMemory.Start + 1 + offset), 1)[0])];
    }

    [Fact]
    public void Another_access_past_the_new_end_finds_zeros_and_ends_its_owners_session()
    {
        File.WriteAllBytes(_path, [.. Enumerable.Repeat((byte)7, Bytes)]);
        using var file = File.OpenHandle(_path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        var (own, peer) = UnixConnection.CreatePair();
        var (bystander, far) = UnixConnection.CreatePair();
        using (own)
        using (peer)
        using (bystander)
        using (far)
        {
            using var region = MemoryRegion.Map(file, 4096, Bytes - 4096, TestMemory.Start, session: own.Handle);
            using var other = MemoryRegion.Map(file, 0, 4096, TestMemory.Start, session: bystander.Handle);
            using var memory = new GuestMemory(region);
            RandomAccess.SetLength(file, Bytes / 2);
            var lost = memory.GetSpan(TestMemory.Start + Bytes / 2, 8192);
            Assert.False(region.WasTruncated);
            Assert.Equal(0, lost[5000]);
            Assert.True(region.WasTruncated);
            // Private: it can be written, and the rest of the region is still the file's.
            lost.Fill(3);
            Assert.Equal([3, 7], [lost[8191], memory.GetSpan(TestMemory.Start, 1)[0]]);
            Assert.False(own.ReceiveExactly(new byte[1]));
            Assert.False(other.WasTruncated);
            far.Send("x"u8);
            Assert.True(bystander.ReceiveExactly(new byte[1]));
        }
    }

    [Fact]
    public void A_region_that_was_disposed_and_is_still_in_use_ends_no_session()
    {
        File.WriteAllBytes(_path, new byte[Bytes]);
        using var file = File.OpenHandle(_path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        var (own, peer) = UnixConnection.CreatePair();
        using (own)
        using (peer)
        {
            var region = MemoryRegion.Map(file, 0, Bytes, TestMemory.Start, session: own.Handle);
            using var memory = new GuestMemory(region);
            region.Dispose();
            RandomAccess.SetLength(file, 0);
            Assert.Equal(0, memory.GetSpan(TestMemory.Start, 1)[0]);
            peer.Send("x"u8);
            Assert.True(own.ReceiveExactly(new byte[1]));
        }
    }

    [Fact]
    public void Entries_of_unmapped_regions_are_used_again()
    {
        File.WriteAllBytes(_path, new byte[Bytes]);
        using var file = File.OpenHandle(_path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        // More than the table has entries.
        for (var i = 0; i < 2 * FaultTable.Bytes / 32; i++) MemoryRegion.Map(file, 0, 4096, TestMemory.Start).Dispose();
        using var region = MemoryRegion.Map(file, 0, Bytes, TestMemory.Start);
        using var memory = new GuestMemory(region);
        RandomAccess.SetLength(file, 0);
        Assert.Equal(0, memory.GetSpan(TestMemory.Start, 1)[0]);
    }
}
