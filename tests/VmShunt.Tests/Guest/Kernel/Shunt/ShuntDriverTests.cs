using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Shunt;
using VmShunt.Guest.Shunt.Modes;
using VmShunt.Guest.Shunt.Policies;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Kernel.Shunt;

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
    public async Task In_enlightened_mode_every_kind_of_request_is_diverted_to_port_driver_en()
    {
        _told.Divert();
        var tasks = SubmitOneOfEach(_disk);
        Assert.Empty(_em.Requests);
        Assert.Equal(Enum.GetValues<BlockOperation>(), _en.Operations);
        foreach (var request in _en.Requests) request.Complete(BlockStatus.Ok);
        await Task.WhenAll(tasks);
    }

    [Fact]
    public async Task Only_primary_requests_are_diverted_where_the_policy_says_so()
    {
        _told.Divert();
        var tasks = SubmitOneOfEach(Above(Shunt(new ToldMode(_told), new ImportantRequests(RequestTypes.Data), _en)));
        Assert.Equal([BlockOperation.Read, BlockOperation.Write], _en.Operations);
        Assert.Equal([BlockOperation.Flush, BlockOperation.Discard, BlockOperation.WriteZeroes], _em.Operations);
        foreach (var request in _en.Requests.Concat(_em.Requests)) request.Complete(BlockStatus.Ok);
        await Task.WhenAll(tasks);
    }

    [Fact]
    public async Task By_frequency_a_class_is_primary_while_it_is_common_and_no_longer_when_it_is_not()
    {
        var (em, en) = (new RecordingDriver(completesAtOnce: true), new RecordingDriver(completesAtOnce: true));
        var meter = new FrequencyMeter(RequestTypes.All);
        var shunt = new ShuntDriver<ToldMode, FrequentRequests>(em, en, new ToldMode(_told), new FrequentRequests(meter), _counters, "", em);
        var disk = Above(shunt);
        _told.Divert();

        for (var i = 0; i < FrequencyMeter.Window; i++) await disk.FlushAsync();
        Assert.Equal(RequestTypes.Flush, meter.Frequent);
        await disk.FlushAsync();
        Assert.Equal(BlockOperation.Flush, en.Operations[^1]);

        for (var i = 0; i < 2 * FrequencyMeter.Window; i++) await disk.DiscardAsync(0, 512);
        Assert.Equal(RequestTypes.Discard, meter.Frequent);
        var trapped = em.Operations.Count;
        await disk.FlushAsync();
        Assert.Equal((trapped + 1, BlockOperation.Flush), (em.Operations.Count, em.Operations[^1]));
    }

    [Fact]
    public async Task By_effort_what_moves_much_or_was_measured_to_cost_much_is_primary()
    {
        var (em, en) = (new RecordingDriver(completesAtOnce: true), new RecordingDriver(completesAtOnce: true));
        var costs = new TrapCosts();
        _told.Divert();
        var disk = Above(new ShuntDriver<ToldMode, EffortfulRequests>(
            em, en, new ToldMode(_told), new EffortfulRequests(costs, RequestTypes.All), _counters, "", em));

        await disk.ReadAsync(0, Buffers.Of(512));
        await disk.ReadAsync(0, Buffers.Of(EffortfulRequests.LargeBytes));
        Assert.Equal((1, 1), (em.Operations.Count, en.Operations.Count));

        for (var i = 0; i < 16; i++)
        {
            costs.Note(BlockOperation.Read, 512, 1000);
            costs.Note(BlockOperation.Flush, 0, 1000 * TrapCosts.CostlyFactor + 1);
        }
        await disk.FlushAsync();
        await disk.ReadAsync(0, Buffers.Of(512));
        Assert.Equal((BlockOperation.Flush, BlockOperation.Read), (en.Operations[^1], em.Operations[^1]));
    }

    [Fact]
    public async Task A_mode_change_touches_no_request_that_is_under_way()
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
    public void A_shunt_that_is_there_diverts_everything_that_meets_it()
    {
        var disk = Above(Shunt(new PresenceMode(), new AllRequests(), _en));
        _ = SubmitOneOfEach(disk);
        Assert.Equal((0, 5), (_em.Requests.Count, _en.Requests.Count));
    }

    [Fact]
    public void A_shunt_that_looks_finds_out_by_itself_whether_port_driver_en_is_there()
    {
        var disk = Above(Shunt(new LookingMode(), new AllRequests(), _en));
        foreach (var isPresent in (bool[])[false, true, false, true])
        {
            _en.IsPresent = isPresent;
            _ = disk.FlushAsync().AsTask();
        }
        Assert.Equal((2, 2), (_em.Requests.Count, _en.Requests.Count));
    }

    [Fact]
    public async Task A_shunt_that_tries_has_emulated_what_is_not_accepted_and_leaves_no_second_way_behind()
    {
        var disk = Above(Shunt(new TryingMode(), new AllRequests(), _en));
        var flush = disk.FlushAsync();
        var request = Assert.Single(_em.Requests);
        Assert.Null(request.Fallback);
        Assert.Empty(_en.Operations);
        _en.IsPresent = true;
        var accepted = disk.FlushAsync();
        Assert.Same(_em, Assert.Single(_en.Requests).Fallback);
        request.Complete(BlockStatus.Ok);
        _en.Requests[0].Complete(BlockStatus.Ok);
        await flush;
        await accepted;
        Assert.Equal((1, 1), (_counters.Diverted, _counters.Passed));
    }

    [Fact]
    public void A_shunt_that_is_commanded_does_what_it_was_last_told()
    {
        var commands = new ShuntSwitch();
        var disk = Above(Shunt(new CommandedMode(commands), new AllRequests(), _en));
        _ = disk.FlushAsync().AsTask();
        commands.Divert();
        _ = disk.FlushAsync().AsTask();
        commands.PassDown();
        _ = disk.FlushAsync().AsTask();
        Assert.Equal((2, 1), (_em.Requests.Count, _en.Requests.Count));
    }

    [Fact]
    public async Task A_request_that_the_ring_does_not_accept_goes_down_the_trap_after_all()
    {
        _told.Divert();
        var flush = Above(Shunt(new ToldMode(_told), new AllRequests(), new RecordingDriver { Rejects = true })).FlushAsync();
        Assert.Single(_em.Requests).Complete(BlockStatus.Ok);
        await flush;
    }

    [Fact]
    public async Task A_request_without_another_way_fails_when_it_is_rejected()
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
    public async Task An_error_is_the_same_whichever_way_the_request_went(BlockStatus status)
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

    private static Task[] SubmitOneOfEach(DiskClassDriver disk) =>
    [
        disk.ReadAsync(0, Buffers.Of(512)).AsTask(),
        disk.WriteAsync(0, Buffers.Of(512)).AsTask(),
        disk.FlushAsync().AsTask(),
        disk.DiscardAsync(0, 512).AsTask(),
        disk.WriteZeroesAsync(0, 512).AsTask(),
    ];
}
