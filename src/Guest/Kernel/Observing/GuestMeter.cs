using System.Diagnostics.Metrics;
using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;

namespace VmShunt.Guest.Observing;

/// <summary>
/// VM-C's counters as a meter, <see cref="Name"/>, that the tools of .NET read: <c>dotnet-counters monitor --counters
/// VmShunt.Guest</c>. Every instrument looks at what the drivers count anyway, when somebody asks; nobody asking costs
/// nothing.
/// </summary>
internal sealed class GuestMeter : IDisposable
{
    internal const string Name = "VmShunt.Guest";

    private readonly Meter _meter = new(Name);
    private readonly MeteredGuest _guest;

    internal GuestMeter(MeteredGuest guest)
    {
        _guest = guest;
        _meter.CreateObservableCounter("vmshunt.guest.requests", Requests, "{request}", "requests ended, by the stack that they entered and the road that they took");
        _meter.CreateObservableCounter("vmshunt.guest.requests.failed", () => Of(static c => c.Failed), "{request}", "requests ended badly, by the stack that they entered");
        _meter.CreateObservableUpDownCounter("vmshunt.guest.requests.in_flight", () => Of(static c => c.InFlight), "{request}", "requests taken and not ended, by the stack that they entered");
        _meter.CreateObservableCounter("vmshunt.guest.shunt.requests", Shunted, "{request}", "requests that met the shunt, by what it decided");
        _meter.CreateObservableCounter("vmshunt.guest.ring.requests", () => Ring().Requests, "{request}", "requests given to the device on this bus");
        _meter.CreateObservableCounter("vmshunt.guest.ring.kicks", () => Ring().Kicks, "{kick}", "times the device was woken");
        _meter.CreateObservableCounter("vmshunt.guest.ring.calls", () => Ring().Calls, "{call}", "times the device woke who waits for a queue");
        _meter.CreateObservableCounter("vmshunt.guest.registers.accesses", guest.RegisterAccesses, "{access}", "accesses to device registers: each is a VM exit where the device is emulated");
        _meter.CreateObservableCounter("vmshunt.guest.bus.returns", guest.Reconnects, "{return}", "times the bus, or its back-end, went and came back");
        _meter.CreateObservableGauge("vmshunt.guest.mode.enlightened", () => guest.IsEnlightened() ? 1 : 0, null, "1 while requests are shunted");
    }

    public void Dispose() => _meter.Dispose();

    private IEnumerable<Measurement<long>> Requests()
    {
        foreach (var (stack, counters) in Stacks())
        {
            yield return new Measurement<long>(counters.Trapped, new("stack", stack), new("road", "trap"));
            yield return new Measurement<long>(counters.Ringed, new("stack", stack), new("road", "ring"));
            yield return new Measurement<long>(counters.Cancelled, new("stack", stack), new("road", "none"));
        }
    }

    private IEnumerable<Measurement<long>> Of(Func<BlockCounters, long> what)
    {
        foreach (var (stack, counters) in Stacks()) yield return new Measurement<long>(what(counters), new KeyValuePair<string, object?>("stack", stack));
    }

    private IEnumerable<Measurement<long>> Shunted()
    {
        if (_guest.Shunt() is not { } shunt) yield break;
        yield return new Measurement<long>(shunt.Diverted, new KeyValuePair<string, object?>("decision", "diverted"));
        yield return new Measurement<long>(shunt.Passed, new KeyValuePair<string, object?>("decision", "passed"));
    }

    private IEnumerable<(string Stack, BlockCounters Counters)> Stacks()
    {
        if (_guest.EmulatingDisk() is { } emulating) yield return ("emulating", emulating.Counters);
        if (_guest.EnlightenedDisk() is { } enlightened) yield return ("enlightened", enlightened.Counters);
    }

    private QueueCounters Ring() => QueueCounters.Sum(_guest.Channel()?.Counters ?? []);
}
