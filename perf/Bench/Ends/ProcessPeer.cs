using VmShunt.Perf.Launch;

namespace VmShunt.Perf.Bench.Ends;

/// <summary>The other end in a separate process: this program, started with <see cref="PeerCommand"/>.</summary>
internal sealed class ProcessPeer : Peer
{
    private const string Program = "vmshunt-perf";

    private readonly ChildProcess _process;

    internal ProcessPeer(PeerWork work, RingMemory memory)
    {
        _process = ChildProcess.Start(
            "the other end", Path.Combine(AppContext.BaseDirectory, Program), [PeerCommand.Name, work.ToString(), memory.Path]);
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
