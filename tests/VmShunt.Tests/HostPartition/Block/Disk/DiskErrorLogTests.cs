using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.Disk;

/// <summary>A failing disk is logged and does not flood the log.</summary>
public sealed class DiskErrorLogTests
{
    private readonly ManualClock _clock = new();
    private readonly LogLines _log = new();

    [Fact]
    public void The_first_error_is_logged_at_once_and_then_one_per_second_with_a_count_of_the_rest()
    {
        var errors = new DiskErrorLog("d", _log, _clock);
        for (var i = 1; i <= 100; i++)
        {
            errors.Failed($"error {i}");
            _clock.Advance(TimeSpan.FromSeconds(0.05));
        }
        Assert.Equal(
            ["disk d: error 1", "disk d: error 21 (19 more errors since the last line)", "disk d: error 41 (19 more errors since the last line)",
             "disk d: error 61 (19 more errors since the last line)", "disk d: error 81 (19 more errors since the last line)"],
            _log.All);
        errors.Dispose();
        Assert.Equal("disk d: 19 more errors since the last line", _log.All[^1]);
        _clock.Advance(TimeSpan.FromSeconds(60));
        errors.Failed("error 101");
        Assert.Equal("disk d: error 101", _log.All[^1]);
    }

    [Fact]
    public void Errors_of_many_threads_are_all_counted()
    {
        var errors = new DiskErrorLog("d", _log, _clock);
        var threads = Enumerable.Range(0, 8).Select(_ => new Thread(() =>
        {
            for (var i = 0; i < 1000; i++) errors.Failed("e");
        })).ToList();
        foreach (var thread in threads) thread.Start();
        foreach (var thread in threads) thread.Join();
        errors.Dispose();
        Assert.Equal(["disk d: e", "disk d: 7999 more errors since the last line"], _log.All);
    }

    [Fact]
    public void An_invalid_request_is_not_logged_as_a_disk_error()
    {
        using var image = new DiskImage(4096);
        var port = new RecordingPortDriver(4096);
        using (var disk = new HostClassDriver(port, _log, time: _clock))
        {
            Assert.Equal(DiskStatus.OutOfRange, disk.Read(8, image.Pieces(true, (0, 512))));
            Assert.Empty(_log.All);
            port.IsBroken = true;
            Assert.Equal(DiskStatus.IoError, disk.Read(0, image.Pieces(true, (0, 512))));
            Assert.Equal(DiskStatus.IoError, disk.Write(0, image.Pieces(false, (0, 512)), new SharedFlag()));
            Assert.Equal(DiskStatus.IoError, disk.Flush());
            Assert.Equal(["disk recording: bad medium"], _log.All);
        }
        Assert.Equal("disk recording: 2 more errors since the last line", _log.All[^1]);
    }
}
