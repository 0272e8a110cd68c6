using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.Disk;

/// <summary>Writes to a full disk: <c>--on-full fail</c> and <c>--on-full wait</c>.</summary>
public sealed class NoSpaceTests : IDisposable
{
    private readonly DiskImage _image = new(512);
    private readonly RecordingPortDriver _port = new();
    private readonly LogLines _log = new();
    private readonly SharedFlag _stop = new();

    public void Dispose() => _image.Dispose();

    private IoVectors Data(int sectors) => _image.Pieces(false, (0, sectors * 512));

    [Fact]
    public void A_write_to_a_full_disk_fails_without_the_wait_policy()
    {
        using var disk = new HostClassDriver(_port, _log);
        _port.Room = 0;
        Assert.Equal(DiskStatus.IoError, disk.Write(0, Data(1), _stop));
        Assert.Equal(DiskStatus.IoError, disk.WriteZeroes(0, 1, mayUnmap: false, _stop));
        Assert.Equal(["disk recording: no room"], _log.All);
    }

    [Fact]
    public async Task A_write_that_waits_for_free_space_resumes_where_it_stopped_and_logs_two_lines()
    {
        using var disk = new HostClassDriver(_port, _log, waitForRoom: true);
        new Random(5).NextBytes(_image.Ram(0, 64 * 512));
        _port.Room = 13;
        var writes = Enumerable.Range(0, 4).Select(i => Task.Factory.StartNew(
            () => disk.Write((ulong)i * 16, _image.Pieces(false, (i * 16 * 512, 16 * 512)), _stop), TaskCreationOptions.LongRunning)).ToList();
        Assert.True(SpinWait.SpinUntil(() => _port.Attempts >= 8, TimeSpan.FromSeconds(60)));
        Assert.All(writes, write => Assert.False(write.IsCompleted));
        // Reads still complete.
        Assert.Equal(DiskStatus.Ok, disk.Read(100, _image.Pieces(true, (2 << 20, 512))));
        _port.Room = int.MaxValue;
        foreach (var write in writes) Assert.Equal(DiskStatus.Ok, await write.WaitAsync(TimeSpan.FromSeconds(60)));

        disk.Read(0, _image.Pieces(true, (1 << 20, 64 * 512)));
        Assert.Equal(_image.Ram(0, 64 * 512).ToArray(), _image.Ram(1 << 20, 64 * 512).ToArray());
        Assert.StartsWith("disk recording is full: writes wait for free space", _log.All[0], StringComparison.Ordinal);
        Assert.StartsWith("disk recording has free space again", _log.All[^1], StringComparison.Ordinal);
        // Two lines, or four if a write found the disk full after the others had resumed.
        Assert.InRange(_log.All.Length, 2, 4);
    }

    [Fact]
    public async Task WRITE_ZEROES_waits_for_free_space_like_a_write()
    {
        using var disk = new HostClassDriver(_port, _log, waitForRoom: true);
        _port.Room = 0;
        var zeroes = Task.Factory.StartNew(() => disk.WriteZeroes(8, 8, mayUnmap: false, _stop), TaskCreationOptions.LongRunning);
        Assert.True(SpinWait.SpinUntil(() => _port.Attempts >= 2, TimeSpan.FromSeconds(60)));
        _port.Room = int.MaxValue;
        Assert.Equal(DiskStatus.Ok, await zeroes.WaitAsync(TimeSpan.FromSeconds(60)));
        Assert.Equal(["zeroes 8+8"], _port.Requests);
    }

    [Fact]
    public async Task A_wait_for_free_space_is_cancelled_by_a_stop_and_ended_by_another_error()
    {
        using var disk = new HostClassDriver(_port, _log, waitForRoom: true);
        _port.Room = 0;
        var stopped = Task.Factory.StartNew(() => disk.Write(0, Data(1), _stop), TaskCreationOptions.LongRunning);
        Assert.True(SpinWait.SpinUntil(() => _log.All.Length == 1, TimeSpan.FromSeconds(60)));
        _stop.Raise();
        Assert.Equal(DiskStatus.Stopped, await stopped.WaitAsync(TimeSpan.FromSeconds(60)));
        Assert.Contains("the last write that waited for free space was cancelled or failed", _log.All[1], StringComparison.Ordinal);

        var failed = Task.Factory.StartNew(() => disk.Write(0, Data(1), new SharedFlag()), TaskCreationOptions.LongRunning);
        Assert.True(SpinWait.SpinUntil(() => _log.All.Length == 3, TimeSpan.FromSeconds(60)));
        _port.IsBroken = true;
        Assert.Equal(DiskStatus.IoError, await failed.WaitAsync(TimeSpan.FromSeconds(60)));
        Assert.Contains("disk recording: bad medium", _log.All);
    }
}
