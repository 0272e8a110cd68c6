using System.Net.Sockets;
using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Serving;
using VmShunt.Tests.Hypervisor;

namespace VmShunt.Tests.Ring.Serving;

/// <summary>Sessions on sockets that another process made, and on those where a front-end listens.</summary>
public sealed class SessionSourceTests
{
    private readonly string _path = RunningHypervisor.NewSocket();
    private readonly List<string> _refusals = [];

    [Fact]
    public void A_listening_socket_from_outside_is_served_withdrawn_and_offered_again()
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(_path));
        socket.Listen();
        // As some programs pass it.
        socket.Blocking = false;
        using (var listener = Listen($"fd:{Number(socket.SafeHandle)}"))
        {
            AssertServed();
            Assert.True(listener.TryWithdraw());
            Assert.True(listener.TryListen());
            AssertServed();
        }
        // The socket is its maker's.
        Assert.True(File.Exists(_path));
        File.Delete(_path);
    }

    [Fact]
    public void A_connected_socket_from_outside_is_one_session()
    {
        var (peer, its) = UnixConnection.CreatePair();
        using (peer)
        {
            // The listener owns this descriptor from now on, as a process owns what it was started with.
            var number = Libc.Fcntl(its.Handle, Libc.F_DUPFD_CLOEXEC, 3);
            its.Dispose();
            using var listener = Listen($"fd:{number}");
            AssertServed(peer);
            Assert.True(listener.TryWithdraw());
            Assert.Equal(0, peer.Receive(new byte[1]));
            Assert.Contains("was a connection, which is closed", Assert.Throws<IOException>(() => listener.TryListen()).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Where_a_front_end_listens_it_connects_as_soon_as_it_does_and_again_after_a_session()
    {
        using var listener = Listen($"connect:{_path}");
        Assert.True(SpinWait.SpinUntil(() => Refusals() == 1, 60_000));
        using (var frontend = UnixListener.Bind(_path))
        {
            for (var session = 0; session < 3; session++)
            {
                using var peer = frontend.Accept();
                AssertServed(peer);
            }
            using (var last = frontend.Accept())
            {
                Assert.True(listener.TryWithdraw());
                Assert.Equal(0, last.Receive(new byte[1]));
            }
            Assert.True(listener.TryListen());
            using var again = frontend.Accept();
            AssertServed(again);
        }
        // One line for each wait.
        Assert.True(SpinWait.SpinUntil(() => Refusals() == 2, 60_000));
        lock (_refusals) Assert.All(_refusals, line => Assert.Contains($"-chardev socket,path={_path},server=on", line, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("fd:", "takes the number of a descriptor")]
    [InlineData("fd:1", "takes the number of a descriptor")]
    [InlineData("fd:ring", "takes the number of a descriptor")]
    [InlineData("fd:900", "descriptor 900 is not open")]
    [InlineData("connect:", "say connect:PATH")]
    public void An_address_that_names_no_socket_is_refused(string address, string said) =>
        Assert.Contains(said, Assert.ThrowsAny<IOException>(() => Listen(address)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_descriptor_that_is_no_Unix_stream_socket_is_refused()
    {
        using var file = File.OpenHandle("/dev/null");
        AssertRefused(file, "is not a socket");
        using var datagrams = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        AssertRefused(datagrams.SafeHandle, "a Unix stream socket is needed");
        using var internet = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        AssertRefused(internet.SafeHandle, "a Unix stream socket is needed");
        using var unconnected = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        AssertRefused(unconnected.SafeHandle, "neither listening nor connected");

        void AssertRefused(SafeHandle handle, string said) =>
            Assert.Contains(said, Assert.Throws<IOException>(() => Listen($"fd:{Number(handle)}")).Message, StringComparison.Ordinal);
    }

    private SessionListener Listen(string address) => new(address, Serve, countChanged: null, reason =>
    {
        lock (_refusals) _refusals.Add(reason);
    });

    private int Refusals()
    {
        lock (_refusals) return _refusals.Count;
    }

    private void AssertServed()
    {
        using var peer = UnixConnection.Connect(_path);
        AssertServed(peer);
    }

    private static void AssertServed(UnixConnection peer)
    {
        peer.Send([7]);
        var reply = new byte[1];
        Assert.Equal((1, (byte)7), (peer.Receive(reply), reply[0]));
    }

    private static int Number(SafeHandle handle) => (int)handle.DangerousGetHandle();

    private static void Serve(UnixConnection connection)
    {
        var message = new byte[1];
        while (connection.Receive(message) > 0) connection.Send(message);
    }
}
