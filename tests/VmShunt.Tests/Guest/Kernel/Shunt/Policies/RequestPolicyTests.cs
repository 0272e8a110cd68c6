using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Requests;
using VmShunt.Guest.Shunt;
using VmShunt.Guest.Shunt.Modes;
using VmShunt.Guest.Shunt.Policies;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Kernel.Shunt.Policies;

/// <summary>Which requests are primary.</summary>
public class RequestPolicyTests
{
    private readonly RecordingDriver _em = new();
    private readonly RecordingDriver _en = new();
    private readonly ShuntSwitch _told = new();
    private readonly ShuntCounters _counters = new();

    [Fact]
    public async Task By_importance_only_the_listed_request_types_are_diverted()
    {
        _told.Divert();
        var tasks = OneOfEach.Submit(Above(Shunt(new ToldMode(_told), new ImportantRequests(RequestTypes.Data), _en)));
        Assert.Equal([BlockOperation.Read, BlockOperation.Write], _en.Operations);
        Assert.Equal([BlockOperation.Flush, BlockOperation.Discard, BlockOperation.WriteZeroes], _em.Operations);
        foreach (var request in _en.Requests.Concat(_em.Requests)) request.Complete(BlockStatus.Ok);
        await Task.WhenAll(tasks);
    }

    [Fact]
    public async Task By_frequency_a_request_type_is_primary_while_it_is_common()
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
    public async Task By_effort_large_or_costly_requests_are_primary()
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

    private ShuntDriver<TMode, TPolicy> Shunt<TMode, TPolicy>(TMode mode, TPolicy policy, RecordingDriver en)
        where TMode : struct, IModeSource
        where TPolicy : struct, IRequestPolicy =>
        new(_em, en, mode, policy, _counters, "test", _em);

    private static DiskClassDriver Above(IBlockDriver shunt) => new(shunt, new CrashGate());
}
