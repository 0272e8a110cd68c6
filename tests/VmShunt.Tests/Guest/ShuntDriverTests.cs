using VmShunt.Guest.Block;
using VmShunt.Guest.Crash;
using VmShunt.Guest.Shunt;

namespace VmShunt.Tests.Guest;

public class ShuntDriverTests
{
    private readonly RecordingDriver _em = new();
    private readonly RecordingDriver _en = new();
    private readonly ShuntDriver _shunt;
    private readonly DiskClassDriver _disk;

    public ShuntDriverTests()
    {
        _shunt = new ShuntDriver(_em);
        _disk = new DiskClassDriver(_shunt, new CrashStop());
    }

    [Fact]
    public async Task In_emulating_mode_a_request_passes_down_to_port_driver_em()
    {
        var flush = _disk.FlushAsync();
        Assert.Empty(_en.Requests);
        Assert.Single(_em.Requests).Complete(BlockStatus.Ok);
        await flush;
        Assert.Equal((0, 1), (_shunt.Diverted, _shunt.Passed));
    }

    [Fact]
    public async Task In_enlightened_mode_every_kind_of_request_is_diverted_to_port_driver_en()
    {
        _shunt.Divert(_en.Submit, PrimaryRequests.All);
        var tasks = SubmitOneOfEach();
        Assert.Empty(_em.Requests);
        Assert.Equal(Enum.GetValues<BlockOperation>(), _en.Operations);
        foreach (var request in _en.Requests) request.Complete(BlockStatus.Ok);
        await Task.WhenAll(tasks);
    }

    [Fact]
    public async Task Only_primary_requests_are_diverted_where_the_policy_says_so()
    {
        _shunt.Divert(_en.Submit, PrimaryRequests.Data);
        var tasks = SubmitOneOfEach();
        Assert.Equal([BlockOperation.Read, BlockOperation.Write], _en.Operations);
        Assert.Equal([BlockOperation.Flush, BlockOperation.Discard, BlockOperation.WriteZeroes], _em.Operations);
        foreach (var request in _en.Requests.Concat(_em.Requests)) request.Complete(BlockStatus.Ok);
        await Task.WhenAll(tasks);
    }

    [Fact]
    public async Task A_mode_change_touches_no_request_that_is_under_way()
    {
        var before = _disk.FlushAsync();
        _shunt.Divert(_en.Submit, PrimaryRequests.All);
        var between = _disk.FlushAsync();
        _shunt.PassDown();
        var after = _disk.FlushAsync();

        Assert.Equal((2, 1), (_em.Requests.Count, _en.Requests.Count));
        _en.Requests[0].Complete(BlockStatus.Ok);
        await between;
        Assert.False(before.IsCompleted || after.IsCompleted);
        foreach (var request in _em.Requests) request.Complete(BlockStatus.Ok);
        await before;
        await after;
        Assert.Equal(new BlockCounters(3, 3, 0, 3, 0, 0), _disk.Counters);
    }

    [Fact]
    public async Task A_request_that_the_ring_does_not_accept_goes_down_the_trap_after_all()
    {
        _shunt.Divert(request => request.Reject(), PrimaryRequests.All);
        var flush = _disk.FlushAsync();
        Assert.Single(_em.Requests).Complete(BlockStatus.Ok);
        await flush;
    }

    [Fact]
    public async Task A_request_without_another_way_fails_when_it_is_rejected()
    {
        var disk = new DiskClassDriver(_en, new CrashStop());
        var flush = disk.FlushAsync();
        Assert.Single(_en.Requests).Reject();
        var failure = await Assert.ThrowsAsync<BlockIoException>(async () => await flush);
        Assert.Equal(BlockStatus.IoError, failure.Status);
    }

    [Theory]
    [InlineData(BlockStatus.IoError)]
    [InlineData(BlockStatus.Unsupported)]
    public async Task An_error_is_the_same_whichever_way_the_request_went(BlockStatus status)
    {
        var direct = await Assert.ThrowsAsync<BlockIoException>(async () =>
            await new DiskClassDriver(new RecordingDriver(completesAtOnce: true, status), new CrashStop()).FlushAsync());
        _shunt.Divert(new RecordingDriver(completesAtOnce: true, status).Submit, PrimaryRequests.All);
        var shunted = await Assert.ThrowsAsync<BlockIoException>(async () => await _disk.FlushAsync());
        Assert.Equal((direct.Status, direct.Message), (shunted.Status, shunted.Message));
    }

    private Task[] SubmitOneOfEach() =>
    [
        _disk.ReadAsync(0, Buffers.Of(512)).AsTask(),
        _disk.WriteAsync(0, Buffers.Of(512)).AsTask(),
        _disk.FlushAsync().AsTask(),
        _disk.DiscardAsync(0, 512).AsTask(),
        _disk.WriteZeroesAsync(0, 512).AsTask(),
    ];
}
