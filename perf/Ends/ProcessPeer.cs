using System.Reflection;
using VmShunt.Perf.Launch;

namespace VmShunt.Perf.Ends;

/// <summary>The other end in a separate process: this program, started again with <see cref="PeerCommand"/>.</summary>
internal sealed class ProcessPeer : Peer
{
    // Programs that have the command. Any other one, such as a test host, has vmshunt-perf beside it.
    private const string Tool = "vmshunt", Perf = "vmshunt-perf";

    private readonly ChildProcess _process;

    internal ProcessPeer(PeerWork work, RingMemory memory)
    {
        var program = Assembly.GetEntryAssembly()?.GetName().Name == Tool ? Tool : Perf;
        // By the runtime's host, because a tool's package has no executable of the tool itself.
        _process = ChildProcess.Start(
            "the other end", Path.Combine(ChildProcess.RuntimeRoot, "dotnet"),
            ["exec", Path.Combine(AppContext.BaseDirectory, $"{program}.dll"), PeerCommand.Name, work.ToString(), memory.Path]);
        _ = _process.Ended.ContinueWith(_ => Exited.Raise(), TaskScheduler.Default);
        using var limit = new CancellationTokenSource(GuestConsole.Patience);
        try
        {
            _ = _process.Output.ReadAsync(limit.Token).AsTask().GetAwaiter().GetResult();
        }
        catch (Exception e) when (e is System.Threading.Channels.ChannelClosedException or OperationCanceledException)
        {
            var lines = string.Join("; ", _process.LastOutput);
            Dispose();
            throw new InvalidOperationException($"the other end did not start: {lines}", e);
        }
    }

    internal int ProcessId => _process.Id;

    public override void Dispose() => _process.DisposeAsync().AsTask().GetAwaiter().GetResult();
}
