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
}
