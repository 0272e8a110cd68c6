using System.Diagnostics.Metrics;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Requests;

namespace VmShunt.Guest.Observing;

/// <summary>
/// VM-C's counters as a meter, <see cref="Name"/>, for .NET tools: <c>dotnet-counters monitor --counters VmShunt.Guest</c>.
/// Every instrument reads the drivers' own counters on demand, so the meter costs nothing without a listener.
/// </summary>
internal sealed class GuestMeter : IDisposable
{
    internal const string Name = "VmShunt.Guest";

    private readonly Meter _meter = new(Name);
    private readonly MeteredGuest _guest;

    internal GuestMeter(MeteredGuest guest)
    {
        _guest = guest;
        _meter.CreateObservableCounter("vmshunt.guest.requests", Requests, "{request}", "requests completed, by stack and path");
        _meter.CreateObservableCounter("vmshunt.guest.requests.failed", () => Of(static c => c.Failed), "{request}", "requests failed, by stack");
        _meter.CreateObservableUpDownCounter("vmshunt.guest.requests.in_flight", () => Of(static c => c.InFlight), "{request}", "requests in flight, by stack");
        _meter.CreateObservableCounter("vmshunt.guest.shunt.requests", Shunted, "{request}", "requests that reached the shunt, by its decision");
        _meter.CreateObservableCounter("vmshunt.guest.ring.requests", () => Ring().Requests, "{request}", "requests put into the rings of the current channel");
        _meter.CreateObservableCounter("vmshunt.guest.ring.kicks", () => Ring().Kicks, "{kick}", "kicks of the device");
        _meter.CreateObservableCounter("vmshunt.guest.ring.calls", () => Ring().Calls, "{call}", "calls by the device that woke a queue's owner");
        _meter.CreateObservableCounter("vmshunt.guest.registers.accesses", guest.RegisterAccesses, "{access}", "accesses to device registers; on a virtual machine each is a VM exit");
        _meter.CreateObservableCounter("vmshunt.guest.bus.returns", guest.Reconnects, "{return}", "reconnects of the bus or its back-end");
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
