using System.Diagnostics.Metrics;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Observing;
using VmShunt.Guest.Requests;
using VmShunt.Guest.Shunt;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Kernel.Observing;

public class GuestMeterTests
{
    [Fact]
    public async Task Each_instrument_reads_the_counter_of_its_name()
    {
        var emulating = new DiskClassDriver(new RecordingDriver(completesAtOnce: true), new CrashGate());
        var failing = new DiskClassDriver(new RecordingDriver(completesAtOnce: true, BlockStatus.IoError), new CrashGate()) { StackName = "enlightened" };
        for (var i = 0; i < 3; i++) await emulating.FlushAsync();
        await failing.TryFlushAsync();
        var shunt = new ShuntCounters();
        shunt.NoteDiverted();

        var values = Read(new MeteredGuest(() => emulating, () => failing, () => null, () => shunt, () => 77, () => 2, () => true));
        Assert.Equal(3, values["vmshunt.guest.requests emulating trap"]);
        Assert.Equal(0, values["vmshunt.guest.requests emulating ring"]);
        Assert.Equal((0, 1), (values["vmshunt.guest.requests.failed emulating"], values["vmshunt.guest.requests.failed enlightened"]));
        Assert.Equal(0, values["vmshunt.guest.requests.in_flight emulating"]);
        Assert.Equal((1, 0), (values["vmshunt.guest.shunt.requests diverted"], values["vmshunt.guest.shunt.requests passed"]));
        Assert.Equal((77, 2, 1), (values["vmshunt.guest.registers.accesses"], values["vmshunt.guest.bus.returns"], values["vmshunt.guest.mode.enlightened"]));
        Assert.Equal(0, values["vmshunt.guest.ring.kicks"]);
    }

    [Fact]
    public void A_guest_without_a_stack_or_a_shunt_reports_no_requests()
    {
        var values = Read(new MeteredGuest(() => null, () => null, () => null, () => null, () => 0, () => 0, () => false));
        Assert.DoesNotContain(values.Keys, static name => name.StartsWith("vmshunt.guest.requests", StringComparison.Ordinal) || name.StartsWith("vmshunt.guest.shunt", StringComparison.Ordinal));
        Assert.Equal(0, values["vmshunt.guest.mode.enlightened"]);
    }

    // Other tests' kernels have a meter of the same name: only the instruments that this thread creates here count.
    private static Dictionary<string, long> Read(MeteredGuest guest)
    {
        var values = new Dictionary<string, long>();
        var creator = 0;
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, l) =>
        {
            if (instrument.Meter.Name == GuestMeter.Name && creator == Environment.CurrentManagedThreadId) l.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Note(instrument, value, tags));
        listener.SetMeasurementEventCallback<int>((instrument, value, tags, _) => Note(instrument, value, tags));
        listener.Start();
        creator = Environment.CurrentManagedThreadId;
        using var meter = new GuestMeter(guest);
        listener.RecordObservableInstruments();
        return values;

        void Note(Instrument instrument, long value, ReadOnlySpan<KeyValuePair<string, object?>> tags) =>
            values[string.Join(' ', [instrument.Name, .. tags.ToArray().Select(static tag => (string)tag.Value!)])] = value;
    }
}
