using System.IO.Pipes;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Files;

public sealed class DiskFileTests : IDisposable
{
    private const int Size = 10_000;

    private readonly TestMemory _ram = new(0x10_0000);
    private readonly string _path = Path.GetTempFileName();
    private readonly SafeFileHandle _file;
    private readonly byte[] _content = new byte[Size];
    private readonly IoVectors _list = new();

    public DiskFileTests()
    {
        Random.Shared.NextBytes(_content);
        File.WriteAllBytes(_path, _content);
        _file = File.OpenHandle(_path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
    }

    public void Dispose()
    {
        _file.Dispose();
        File.Delete(_path);
        _ram.Dispose();
    }

    [Theory]
    [InlineData(0, 10_000, 10_000)]
    [InlineData(1, 9_999, 9_999)]
    [InlineData(5_000, 5_001, 5_000)]
    [InlineData(9_999, 4_096, 1)]
    [InlineData(10_000, 4_096, 0)]
    [InlineData(1_000_000, 512, 0)]
    [InlineData(0, 0, 0)]
    public void A_read_is_short_only_at_the_end_of_the_file(long offset, int length, int read)
    {
        foreach (var pieces in (int[])[1, 2, 7, 1000])
        {
            _ram.Span(TestMemory.Start, _ram.Bytes).Fill(0xee);
            var at = Spread(length, pieces);
            Assert.Equal(read, DiskFile.Read(_file, _list, offset));
            for (var i = 0; i < at.Count; i++)
            {
                var expected = i < read ? _content[offset + i] : 0xee;
                if (_ram.Span(TestMemory.Start, _ram.Bytes)[at[i]] != expected) Assert.Fail($"{pieces} pieces, byte {i}");
            }
        }
    }

    [Theory]
    [InlineData(0, 10_000)]
    [InlineData(9_000, 5_000)]
    [InlineData(20_000, 1)]
    [InlineData(5, 0)]
    public void A_write_writes_all_pieces(long offset, int length)
    {
        foreach (var pieces in (int[])[1, 3, 1000])
        {
            var at = Spread(length, pieces);
            var bytes = new byte[length];
            Random.Shared.NextBytes(bytes);
            Assert.Equal(length, _list.CopyFrom(bytes));
            DiskFile.Write(_file, _list, offset);
            DiskFile.Flush(_file);
            var written = File.ReadAllBytes(_path);
            Assert.Equal(length == 0 ? Size : Math.Max(Size, offset + length), DiskFile.GetSize(_file));
            Assert.Equal(bytes, written.AsSpan(length == 0 ? 0 : (int)offset, length));
            Assert.Equal(length, at.Count);
        }
    }

    [Fact]
    public void Data_is_the_same_when_read_into_other_pieces()
    {
        var bytes = new byte[200_000];
        Random.Shared.NextBytes(bytes);
        Spread(bytes.Length, 900);
        _list.CopyFrom(bytes);
        DiskFile.Write(_file, _list, 4096);
        _ram.Span(TestMemory.Start, _ram.Bytes).Clear();
        Spread(bytes.Length, 31);
        Assert.Equal(bytes.Length, DiskFile.Read(_file, _list, 4096));
        Spread(bytes.Length, 31);
        var read = new byte[bytes.Length];
        _list.CopyTo(read);
        Assert.Equal(bytes, read);
    }

    [Fact]
    public void A_failed_transfer_reports_the_errno()
    {
        using var readOnly = File.OpenHandle(_path);
        Spread(512, 1);
        Assert.Equal(9, Assert.Throws<IOException>(() => DiskFile.Write(readOnly, _list, 0)).HResult);
        using var full = File.OpenHandle("/dev/full", FileMode.Open, FileAccess.ReadWrite);
        Spread(512, 2);
        Assert.Equal(28, Assert.Throws<IOException>(() => DiskFile.Write(full, _list, 0)).HResult);
        Spread(512, 1);
        Assert.Equal(22, Assert.Throws<IOException>(() => DiskFile.Read(_file, _list, -1)).HResult);
    }

    [Fact]
    public void A_hole_and_a_zeroed_range_read_as_zeros_and_keep_the_size()
    {
        foreach (var (zero, offset) in (((Func<SafeFileHandle, long, long, bool>, long)[])[(DiskFile.TryPunchHole, 1000), (DiskFile.TryZeroRange, 5000)]))
        {
            // False where the file system does not support it; nothing changes then.
            if (!zero(_file, offset, 3000)) continue;
            Array.Clear(_content, (int)offset, 3000);
        }
        Assert.Equal(_content, File.ReadAllBytes(_path));
        if (DiskFile.TryPunchHole(_file, 9_000, 100_000)) Array.Clear(_content, 9_000, 1_000);
        Assert.Equal(_content, File.ReadAllBytes(_path));
        Assert.False(DiskFile.TryPunchHole(_file, -1, 10));
        Assert.False(DiskFile.TryZeroRange(_file, 0, 0));
    }

    [Fact]
    public void Only_files_and_block_devices_have_a_size()
    {
        Assert.Equal(Size, DiskFile.GetSize(_file));
        using var memory = SharedMemoryFile.Create("test", 123_456);
        Assert.Equal(123_456, DiskFile.GetSize(memory));
        using var pipe = new AnonymousPipeServerStream();
        using var pipeHandle = new SafeFileHandle(pipe.SafePipeHandle.DangerousGetHandle(), ownsHandle: false);
        Assert.Throws<IOException>(() => DiskFile.GetSize(pipeHandle));
        using var nothing = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.ReadWrite);
        Assert.Equal(0, DiskFile.GetSize(nothing));
    }

    [Fact]
    public void A_transfer_allocates_nothing()
    {
        Work();
        var before = GC.GetAllocatedBytesForCurrentThread();
        Work();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void Work()
        {
            for (var i = 0; i < 200; i++)
            {
                _list.Clear();
                _ram.Memory.TryAppend(TestMemory.Start, 512, true, _list);
                if (i % 2 == 0) _ram.Memory.TryAppend(TestMemory.Start + 4096, 512, true, _list);
                DiskFile.Read(_file, _list, 0);
                _list.Clear();
                _ram.Memory.TryAppend(TestMemory.Start, 512, true, _list);
                DiskFile.Write(_file, _list, 0);
            }
        }
    }

    /// <summary>Fills the list with pieces that are not adjacent.</summary>
    /// <returns>The offset of each byte.</returns>
    private List<int> Spread(int length, int pieces)
    {
        _list.Clear();
        var at = new List<int>();
        var start = 0;
        for (var i = 0; i < pieces; i++)
        {
            var here = length / pieces + (i < length % pieces ? 1 : 0);
            Assert.True(_ram.Memory.TryAppend(TestMemory.Start + (ulong)start, (ulong)here, true, _list));
            at.AddRange(Enumerable.Range(start, here));
            start += here + 3;
        }
        return at;
    }
}
