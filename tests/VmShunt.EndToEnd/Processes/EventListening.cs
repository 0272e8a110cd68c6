using System.Collections.Concurrent;
using System.Diagnostics.Tracing;
using Microsoft.Diagnostics.NETCore.Client;
using Microsoft.Diagnostics.Tracing;

namespace VmShunt.EndToEnd.Processes;

/// <summary>Listens to another process as the ordinary .NET tools do: an EventPipe session on its diagnostics socket.</summary>
internal sealed class EventListening : IDisposable
{
    private readonly EventPipeSession _session;
    private readonly EventPipeEventSource _source;
    private readonly Thread _reader;

    private EventListening(EventPipeSession session)
    {
        _session = session;
        _source = new EventPipeEventSource(session.EventStream);
        _source.Dynamic.All += e => Events.Enqueue((e.EventName, e.PayloadNames.ToDictionary(static n => n, n => e.PayloadByName(n))));
        _reader = new Thread(Read) { IsBackground = true, Name = "events" };
        _reader.Start();
    }

    /// <summary>The events received, in order.</summary>
    internal ConcurrentQueue<(string Name, Dictionary<string, object> Payload)> Events { get; } = new();

    /// <summary>As <c>dotnet-trace collect --providers</c> does.</summary>
    internal static EventListening ToProvider(int process, string provider) => new(Start(process, new EventPipeProvider(provider, EventLevel.Informational)));

    /// <summary>As <c>dotnet-counters monitor --counters</c> does with a meter.</summary>
    internal static EventListening ToMeter(int process, string meter) =>
        new(Start(process, new EventPipeProvider("System.Diagnostics.Metrics", EventLevel.Informational, 2, new Dictionary<string, string>
        {
            ["SessionId"] = Guid.NewGuid().ToString(),
            ["Metrics"] = meter,
            ["RefreshInterval"] = "0.2",
            ["MaxTimeSeries"] = "1000",
            ["MaxHistograms"] = "10",
        })));

    /// <summary>Stops the session; every event that the process sent before has been received then.</summary>
    public void Dispose()
    {
        try
        {
            _session.Stop();
        }
        catch (Exception e) when (e is IOException or ServerNotAvailableException or TimeoutException)
        {
            // The process has exited.
        }
        _reader.Join();
        _source.Dispose();
        _session.Dispose();
    }

    private static EventPipeSession Start(int process, EventPipeProvider provider) =>
        new DiagnosticsClient(process).StartEventPipeSession(provider, requestRundown: false);

    private void Read()
    {
        try
        {
            _source.Process();
        }
        catch (Exception e) when (e is IOException or EndOfStreamException or FormatException)
        {
            // The session was stopped in the middle of a block.
        }
    }
}
