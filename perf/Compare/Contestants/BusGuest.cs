using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Launch;

namespace VmShunt.Perf.Compare.Contestants;

/// <summary>
/// The guest as a load generator: a front-end of any vhost-user-blk back-end (<c>vmshunt-guest --bus</c>). A guest that
/// busy-polls uses a core even when idle, so it is stopped (SIGSTOP) while others are measured.
/// </summary>
internal sealed class BusGuest : IAsyncDisposable
{
    private readonly CompareSession _session;
    private readonly GuestConsole _console;
    private readonly bool _stopped;

    private BusGuest(CompareSession session, BackEnd backEnd, GuestConsole console, bool polls)
    {
        _session = session;
        _console = console;
        _stopped = polls;
        BackEnd = backEnd;
        session.Guard.Watch(console.Process.Id);
    }

    internal BackEnd BackEnd { get; }

    internal int ProcessId => _console.Process.Id;

    /// <summary>Connects a guest to a back-end.</summary>
    /// <param name="session">The run.</param>
    /// <param name="backEnd">The back-end; not owned.</param>
    /// <param name="poll">busy or adaptive.</param>
    /// <param name="options">Further options, such as <c>--ring packed</c>.</param>
    internal static async Task<BusGuest> ConnectAsync(CompareSession session, BackEnd backEnd, string poll, params IEnumerable<string> options)
    {
        var process = ChildProcess.Start(
            "vmshunt-guest", session.Own("vmshunt-guest"), ["--bus", backEnd.Socket, "--poll", poll, .. options, "console"]);
        var guest = new BusGuest(session, backEnd, new GuestConsole(process), poll == "busy");
        try
        {
            var line = await process.Output.ReadAsync(session.Cancel).AsTask().WaitAsync(GuestConsole.Patience, session.Cancel);
            if (!line.StartsWith("ready", StringComparison.Ordinal)) throw new LaunchException($"vmshunt-guest printed '{line}' instead of its ready line");
            guest.Stop();
            return guest;
        }
        catch (Exception e) when (e is System.Threading.Channels.ChannelClosedException or TimeoutException)
        {
            await guest.DisposeAsync();
            throw new LaunchException($"vmshunt-guest did not get ready on {backEnd.Subject}: {string.Join("; ", process.LastOutput)}");
        }
        catch
        {
            await guest.DisposeAsync();
            throw;
        }
    }

    /// <summary>Runs a bench command; no other contestant runs meanwhile.</summary>
    internal async Task<BenchAnswer> BenchAsync(string command, TimeSpan duration)
    {
        Continue();
        try
        {
            return await _console.AskAsync(command, GuestAnswersJson.Default.BenchAnswer, duration, _session.Cancel);
        }
        finally
        {
            Stop();
        }
    }

    public async ValueTask DisposeAsync()
    {
        Continue();
        await _console.Process.DisposeAsync();
        _session.Guard.Forget(ProcessId);
    }

    private void Continue()
    {
        if (_stopped) _ = Signal.Send(ProcessId, Signal.Continue);
    }

    private void Stop()
    {
        if (_stopped) _ = Signal.Send(ProcessId, Signal.Stop);
    }
}
