using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>A back-end that answers well until the test says otherwise.</summary>
internal sealed class ScriptedBackend : IDisposable
{
    internal const ulong Features = 1ul << 32 | 1ul << 30;

    private readonly VhostUserConnection _connection;
    private readonly Thread _thread;
    private readonly Func<VhostUserConnection, VhostUserHeader, bool> _odd;
    private Exception? _fault;

    /// <param name="odd">Called at each message; returns true when it has dealt with it.</param>
    internal ScriptedBackend(Func<VhostUserConnection, VhostUserHeader, bool> odd)
    {
        (Socket, var mine) = UnixConnection.CreatePair();
        _odd = odd;
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
                if (!_odd(_connection, _connection.Header)) Answer(_connection.Header);
            }
        }
        catch (IOException)
        {
            // The front-end has had enough, or the script ended the session.
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
