using BenchmarkDotNet.Attributes;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Requests;
using VmShunt.Guest.Shunt;
using VmShunt.Guest.Shunt.Modes;
using VmShunt.Guest.Shunt.Policies;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Perf.Bench;

/// <summary>
/// The cost of the shunt's decision per request: a class driver over a port driver that completes requests inline, without a
/// shunt, then with each mode source and each policy. One operation is one flush.
/// </summary>
[MemoryDiagnoser]
public class ShuntDeciding
{
    private const int Requests = 4096;

    private DiskClassDriver _disk = null!;

    /// <summary>The shunt's mode source and policy, or none.</summary>
    [Params("none", "told all", "arrives all", "looks all", "tries all", "commanded all", "told importance", "told frequency", "told effort")]
    public string Shunt { get; set; } = "none";

    [GlobalSetup]
    public void Setup()
    {
        var (em, en) = (new InlineDriver(), new InlineDriver());
        var told = new ShuntSwitch();
        told.Divert();
        _disk = new DiskClassDriver(Shunt switch
        {
            "told all" => With(new ToldMode(told), new AllRequests()),
            "arrives all" => With(new PresenceMode(), new AllRequests()),
            "looks all" => With(new LookingMode(), new AllRequests()),
            "tries all" => With(new TryingMode(), new AllRequests()),
            "commanded all" => With(new CommandedMode(told), new AllRequests()),
            "told importance" => With(new ToldMode(told), new ImportantRequests(RequestTypes.All)),
            "told frequency" => With(new ToldMode(told), new FrequentRequests(new FrequencyMeter(RequestTypes.All))),
            "told effort" => With(new ToldMode(told), new EffortfulRequests(new TrapCosts(), RequestTypes.All)),
            _ => en,
        }, new CrashGate());
        Tiering.Settle(Flush);

        ShuntDriver<TMode, TPolicy> With<TMode, TPolicy>(TMode mode, TPolicy policy)
            where TMode : struct, IModeSource
            where TPolicy : struct, IRequestPolicy => new(em, en, mode, policy, new ShuntCounters(), Shunt, em);
    }

    [Benchmark(OperationsPerInvoke = Requests)]
    public void Flush()
    {
        // Each request completes inline, so the loop never waits.
        Task loop = FlushAllAsync();
        if (!loop.IsCompletedSuccessfully) throw new InvalidOperationException("a request did not complete inline", loop.Exception);
    }

    private async Task FlushAllAsync()
    {
        for (var i = 0; i < Requests; i++) await _disk.FlushAsync();
    }

    private sealed class InlineDriver : IEnlightenedEntry
    {
        public DiskGeometry Geometry { get; } = new(1 << 20, 1 << 20, "", IsReadOnly: false);

        public bool IsPresent => true;

        public void Submit(BlockRequest request)
        {
            request.RequestPath = RequestPath.Ring;
            request.Complete(BlockStatus.Ok);
        }

        public bool TryAccept(BlockRequest request)
        {
            Submit(request);
            return true;
        }
    }
}
