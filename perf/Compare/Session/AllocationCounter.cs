using System.Diagnostics.Tracing;
using System.Globalization;
using Microsoft.Diagnostics.NETCore.Client;
using Microsoft.Diagnostics.Tracing;
using VmShunt.Perf.Launch;

namespace VmShunt.Perf.Compare.Session;

/// <summary>
/// The bytes that all threads of another .NET process allocate, from its runtime's counter <c>alloc-rate</c> (event source
/// <c>System.Runtime</c>, as <c>dotnet-counters</c> reads it). Reporting itself allocates a little, so the caller also
/// measures an idle interval and subtracts it.
/// </summary>
internal sealed class AllocationCounter : IDisposable
{
    private const string Source = "System.Runtime", Counter = "alloc-rate";
    private const double IntervalSeconds = 0.2;
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(20);

    private readonly EventPipeSession _session;
    private readonly EventPipeEventSource _events;
    private readonly Thread _reader;
    private readonly SemaphoreSlim _reported = new(0);
    private readonly Lock _lock = new();
    private double _bytes;
    private int _reports;

    /// <param name="processId">A .NET process of the same user.</param>
    internal AllocationCounter(int processId)
    {
        _session = new DiagnosticsClient(processId).StartEventPipeSession(
            new EventPipeProvider(Source, EventLevel.Informational, (long)EventKeywords.None, new Dictionary<string, string>
            {
                ["EventCounterIntervalSec"] = IntervalSeconds.ToString(CultureInfo.InvariantCulture),
            }),
            requestRundown: false);
        _events = new EventPipeEventSource(_session.EventStream);
        _events.Dynamic.All += Note;
        _reader = new Thread(() =>
        {
            try
            {
                _events.Process();
            }
            catch (Exception e) when (e is IOException or FormatException or EndOfStreamException)
            {
                // The process exited, or the session was stopped in the middle of a block.
            }
        })
        { IsBackground = true, Name = "allocation" };
        _reader.Start();
    }

    /// <summary>Waits for the given number of new reports. The next call counts from the last of them.</summary>
    /// <returns>The bytes allocated and the number of reports since the last call.</returns>
    internal async Task<(double Bytes, int Reports)> NextAsync(int reports, CancellationToken cancel)
    {
        while (_reported.Wait(0, CancellationToken.None))
        {
        }
        for (var i = 0; i < reports; i++)
        {
            if (!await _reported.WaitAsync(s_timeout, cancel))
                throw new LaunchException($"a .NET runtime did not report {Counter} within {s_timeout.TotalSeconds:F0} s");
        }
        lock (_lock)
        {
            var all = (_bytes, _reports);
            (_bytes, _reports) = (0, 0);
            return all;
        }
    }

    public void Dispose()
    {
        try
        {
            _session.Stop();
        }
        catch (Exception e) when (e is IOException or ServerNotAvailableException or EndOfStreamException or TimeoutException)
        {
            // The process has exited.
        }
        _reader.Join(s_timeout);
        _events.Dispose();
        _session.Dispose();
        _reported.Dispose();
    }

    private void Note(TraceEvent reported)
    {
        if (reported.EventName != "EventCounters" || reported.PayloadValue(0) is not IDictionary<string, object> outer
            || outer["Payload"] is not IDictionary<string, object> counter || counter["Name"] as string != Counter)
        {
            return;
        }
        lock (_lock)
        {
            _bytes += Convert.ToDouble(counter["Increment"], CultureInfo.InvariantCulture);
            _reports++;
            _reported.Release();
        }
    }
}
