using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;
using VmShunt.Guest.Shunt;
using VmShunt.Guest.Shunt.Modes;
using VmShunt.Guest.Shunt.Policies;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Kernel.Shunt.Modes;

/// <summary>How a shunt knows the mode.</summary>
public class ModeSourceTests
{
    private readonly RecordingDriver _em = new();
    private readonly RecordingDriver _en = new();
    private readonly ShuntCounters _counters = new();

    [Fact]
    public void A_shunt_that_arrives_diverts_every_request_while_it_is_inserted()
    {
        var disk = Above(new PresenceMode());
        _ = OneOfEach.Submit(disk);
        Assert.Equal((0, 5), (_em.Requests.Count, _en.Requests.Count));
    }

    [Fact]
    public void A_shunt_that_looks_checks_whether_port_driver_en_has_a_bus()
    {
        var disk = Above(new LookingMode());
        foreach (var isPresent in (bool[])[false, true, false, true])
        {
            _en.IsPresent = isPresent;
            _ = disk.FlushAsync().AsTask();
        }
        Assert.Equal((2, 2), (_em.Requests.Count, _en.Requests.Count));
    }

    [Fact]
    public async Task A_shunt_that_tries_passes_down_unaccepted_requests_without_a_fallback()
    {
        var disk = Above(new TryingMode());
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
    public void A_commanded_shunt_follows_the_switch_of_port_driver_en()
    {
        var commands = new ShuntSwitch();
        var disk = Above(new CommandedMode(commands));
        _ = disk.FlushAsync().AsTask();
        commands.Divert();
        _ = disk.FlushAsync().AsTask();
        commands.PassDown();
        _ = disk.FlushAsync().AsTask();
        Assert.Equal((2, 1), (_em.Requests.Count, _en.Requests.Count));
    }

    private DiskClassDriver Above<TMode>(TMode mode) where TMode : struct, IModeSource =>
        new(new ShuntDriver<TMode, AllRequests>(_em, _en, mode, new AllRequests(), _counters, "test", _em), new CrashGate());
}
