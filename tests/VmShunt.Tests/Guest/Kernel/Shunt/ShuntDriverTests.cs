using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;
using VmShunt.Guest.Shunt;
using VmShunt.Guest.Shunt.Modes;
using VmShunt.Guest.Shunt.Policies;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Kernel.Shunt;

/// <summary>What a shunt does with requests in each mode.</summary>
public class ShuntDriverTests
{
    private readonly RecordingDriver _em = new();
    private readonly RecordingDriver _en = new();
    private readonly ShuntSwitch _told = new();
    private readonly ShuntCounters _counters = new();
    private readonly DiskClassDriver _disk;

    public ShuntDriverTests() => _disk = Above(Shunt(new ToldMode(_told), new AllRequests(), _en));

    [Fact]
    public async Task In_emulating_mode_a_request_passes_down_to_port_driver_em()
    {
        var flush = _disk.FlushAsync();
        Assert.Empty(_en.Requests);
        Assert.Single(_em.Requests).Complete(BlockStatus.Ok);
        await flush;
        Assert.Equal((0, 1), (_counters.Diverted, _counters.Passed));
    }

    [Fact]
    public async Task In_enlightened_mode_every_request_type_is_diverted_to_port_driver_en()
    {
        _told.Divert();
        var tasks = OneOfEach.Submit(_disk);
        Assert.Empty(_em.Requests);
        Assert.Equal(Enum.GetValues<BlockOperation>(), _en.Operations);
        foreach (var request in _en.Requests) request.Complete(BlockStatus.Ok);
        await Task.WhenAll(tasks);
    }

    [Fact]
    public async Task A_mode_change_does_not_touch_a_request_in_flight()
    {
        var before = _disk.FlushAsync();
        _told.Divert();
        var between = _disk.FlushAsync();
        _told.PassDown();
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
    public async Task A_request_that_the_ring_rejects_takes_the_trap_path()
    {
        _told.Divert();
        var flush = Above(Shunt(new ToldMode(_told), new AllRequests(), new RecordingDriver { Rejects = true })).FlushAsync();
        Assert.Single(_em.Requests).Complete(BlockStatus.Ok);
        await flush;
    }

    [Fact]
    public async Task A_rejected_request_without_a_fallback_fails()
    {
        var disk = new DiskClassDriver(_en, new CrashGate());
        var flush = disk.FlushAsync();
        Assert.Single(_en.Requests).Reject();
        var failure = await Assert.ThrowsAsync<BlockIoException>(async () => await flush);
        Assert.Equal(BlockStatus.IoError, failure.Status);
    }

    [Theory]
    [InlineData(BlockStatus.IoError)]
    [InlineData(BlockStatus.Unsupported)]
    public async Task An_error_is_the_same_on_both_paths(BlockStatus status)
    {
        var direct = await Assert.ThrowsAsync<BlockIoException>(async () =>
            await new DiskClassDriver(new RecordingDriver(completesAtOnce: true, status), new CrashGate()).FlushAsync());
        _told.Divert();
        var disk = Above(Shunt(new ToldMode(_told), new AllRequests(), new RecordingDriver(completesAtOnce: true, status)));
        var shunted = await Assert.ThrowsAsync<BlockIoException>(async () => await disk.FlushAsync());
        Assert.Equal((direct.Status, direct.Message), (shunted.Status, shunted.Message));
    }

    private ShuntDriver<TMode, TPolicy> Shunt<TMode, TPolicy>(TMode mode, TPolicy policy, RecordingDriver en)
        where TMode : struct, IModeSource
        where TPolicy : struct, IRequestPolicy =>
        new(_em, en, mode, policy, _counters, "test", _em);

    private static DiskClassDriver Above(IBlockDriver shunt) => new(shunt, new CrashGate());
}
