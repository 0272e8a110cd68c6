using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>A back-end that replies correctly, except to the messages that the test replies to itself.</summary>
internal sealed class ScriptedBackend : IDisposable
{
    internal const ulong Features = 1ul << 32 | 1ul << 30;

    private readonly VhostUserConnection _connection;
    private readonly Thread _thread;
    private readonly Func<VhostUserConnection, VhostUserHeader, bool> _script;
    private Exception? _fault;

    /// <param name="script">Sees each message first; returns true when it has replied itself.</param>
    internal ScriptedBackend(Func<VhostUserConnection, VhostUserHeader, bool> script)
    {
        (Socket, var mine) = UnixConnection.CreatePair();
        _script = script;
        _connection = new VhostUserConnection(mine);
        _thread = new Thread(Run);
        _thread.Start();
    }

    internal UnixConnection Socket { get; }

    internal VhostUserFrontend Open() => VhostUserFrontend.Open(Socket, ulong.MaxValue, 1ul << 32);

    internal static void Reply<T>(VhostUserConnection connection, T payload) where T : unmanaged =>
        connection.Send(connection.Header.Request, VhostUserHeader.Reply, payload);

    private void Run()
    {
        try
        {
            while (_connection.Receive())
            {
                if (!_script(_connection, _connection.Header)) Answer(_connection.Header);
            }
        }
        catch (IOException)
        {
            // The front-end or the script closed the session.
        }
        catch (Exception e)
        {
            _fault = e;
        }
        _connection.Dispose();
    }

    private void Answer(VhostUserHeader header)
    {
        switch (header.Request)
        {
            case VhostUserRequest.GetFeatures:
                Reply(_connection, Features);
                break;
            case VhostUserRequest.GetProtocolFeatures:
                Reply(_connection, ulong.MaxValue);
                break;
            case VhostUserRequest.GetQueueNum:
                Reply(_connection, 1ul);
                break;
            case VhostUserRequest.GetVringBase:
                Reply(_connection, MemoryMarshal.Read<VringState>(_connection.Payload));
                break;
            case VhostUserRequest.GetConfig:
                _connection.Send(header.Request, VhostUserHeader.Reply, _connection.Payload);
                break;
            default:
                if ((header.Flags & VhostUserHeader.NeedReply) != 0) Reply(_connection, 0ul);
                break;
        }
    }

    public void Dispose()
    {
        Socket.Dispose();
        Assert.True(_thread.Join(60_000));
        Assert.Null(_fault);
    }
}
