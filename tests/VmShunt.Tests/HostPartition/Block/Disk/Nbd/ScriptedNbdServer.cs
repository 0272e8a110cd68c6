using System.Net.Sockets;

namespace VmShunt.Tests.HostPartition.Block.Disk.Nbd;

/// <summary>
/// An NBD server on a Unix socket. Each connection runs the next script; the socket closes when the last script's client
/// has connected, so that no further connection is possible.
/// </summary>
internal sealed class ScriptedNbdServer : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private readonly string _path = Path.Combine(Path.GetTempPath(), $"nbd-{Guid.NewGuid():N}");
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly Action<NbdPeer>[] _scripts;
    private readonly Thread _thread;
    private Exception? _failure;

    internal ScriptedNbdServer(params ReadOnlySpan<Action<NbdPeer>> scripts)
    {
        _scripts = scripts.ToArray();
        _listener.Bind(new UnixDomainSocketEndPoint(_path));
        _listener.Listen();
        _thread = new Thread(Run) { IsBackground = true };
        _thread.Start();
    }

    internal string Address => $"nbd+unix:///disk?socket={_path}";

    /// <summary>Waits until every script has returned.</summary>
    public void Dispose()
    {
        var isDone = _thread.Join(s_patience);
        _listener.Dispose();
        File.Delete(_path);
        Assert.True(isDone, "a script did not return");
        Assert.Null(_failure);
    }

    private void Run()
    {
        try
        {
            for (var i = 0; i < _scripts.Length; i++)
            {
                using var peer = new NbdPeer(_listener.Accept());
                if (i == _scripts.Length - 1)
                {
                    _listener.Dispose();
                    File.Delete(_path);
                }
                try
                {
                    _scripts[i](peer);
                }
                catch (IOException e) when (e.InnerException is SocketException { SocketErrorCode: SocketError.Shutdown or SocketError.ConnectionReset })
                {
                    // A client that rejects a message may close before the script has sent its last one.
                }
            }
        }
        catch (Exception e)
        {
            _failure = e;
        }
    }
}
