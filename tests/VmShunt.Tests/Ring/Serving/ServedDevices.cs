using System.Collections.Concurrent;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Serving;
using VmShunt.Tests.Hypervisor;

namespace VmShunt.Tests.Ring.Serving;

/// <summary>A <see cref="VhostUserServer"/> that listens on a socket, its devices and its reports.</summary>
internal sealed class ServedDevices : IAsyncDisposable
{
    private readonly ConcurrentQueue<ServerReport> _reports = new();

    /// <param name="create">Creates a device; the number is that of the session, from 1.</param>
    internal ServedDevices(Func<int, VirtioDevice?>? create = null)
    {
        var created = 0;
        Server = new VhostUserServer(
            () =>
            {
                var device = (create ?? (static _ => new ScriptedDevice()))(Interlocked.Increment(ref created));
                if (device is ScriptedDevice scripted) Devices.Enqueue(scripted);
                return device!;
            },
            new VhostUserServerOptions { Wait = WaitPolicy.Never });
        Server.Reported += (_, report) => _reports.Enqueue(report);
        Server.Listen(Path);
    }

    internal VhostUserServer Server { get; }

    internal string Path { get; } = RunningHypervisor.NewSocket();

    internal ConcurrentQueue<ScriptedDevice> Devices { get; } = new();

    internal ScriptedDevice Device => Devices.First();

    /// <summary>The lines of the reports of a kind.</summary>
    internal string[] Reports(ServerReportKind kind) => [.. _reports.Where(report => report.Kind == kind).Select(static report => report.ToString())];

    /// <summary>Waits for a report.</summary>
    /// <returns>Its line.</returns>
    internal string Await(ServerReportKind kind, int count = 1)
    {
        Assert.True(SpinWait.SpinUntil(() => Reports(kind).Length >= count, TimeSpan.FromSeconds(60)), $"no report {kind}; there are {string.Join("; ", _reports)}");
        return Reports(kind)[count - 1];
    }

    public ValueTask DisposeAsync() => Server.DisposeAsync();
}
