using System.Net.Sockets;
using VmShunt.Ring.Interop;

namespace VmShunt.Tests.Ring.Interop;

public sealed class UnixListenerTests : IDisposable
{
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"vmshunt-listener-{Guid.NewGuid():N}");

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void Connections_are_accepted_in_order_and_the_path_is_removed_with_the_listener()
    {
        using (var listener = UnixListener.Bind(_path))
        {
            Assert.True(File.Exists(_path));
            using var wait = new WaitSet(listener.Handle);
            Assert.False(wait.Wait(0));
            using var first = UnixConnection.Connect(_path);
            using var second = UnixConnection.Connect(_path);
            first.Send("1"u8);
            second.Send("2"u8);
            Assert.True(wait.Wait(60_000));
            var one = new byte[1];
            for (byte i = (byte)'1'; i <= '2'; i++)
            {
                using var accepted = listener.Accept();
                Assert.True(accepted.ReceiveExactly(one));
                Assert.Equal(i, one[0]);
            }
        }
        Assert.False(File.Exists(_path));
    }

    [Fact]
    public void The_socket_of_a_successor_stays()
    {
        var listener = UnixListener.Bind(_path);
        File.Delete(_path);
        using var successor = UnixListener.Bind(_path);
        listener.Dispose();
        using var connection = UnixConnection.Connect(_path);
        using var accepted = successor.Accept();
    }

    [Fact]
    public void The_socket_of_an_exited_process_is_replaced()
    {
        using (var killed = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            killed.Bind(new UnixDomainSocketEndPoint(_path));
            // .NET removes the path when the socket is disposed; a killed process does not.
            File.Move(_path, _path + "-kept");
        }
        File.Move(_path + "-kept", _path);
        using var listener = UnixListener.Bind(_path);
        using var connection = UnixConnection.Connect(_path);
        using var accepted = listener.Accept();
    }

    [Fact]
    public void A_socket_in_use_is_not_replaced()
    {
        using var listener = UnixListener.Bind(_path);
        var refused = Assert.Throws<IOException>(() => UnixListener.Bind(_path));
        Assert.Contains("another process is listening", refused.Message, StringComparison.Ordinal);
        Assert.True(File.Exists(_path));
        // The probe was accepted as any connection, and closed.
        using (var probe = listener.Accept()) Assert.Equal(0, probe.Receive(new byte[1]));
        using var connection = UnixConnection.Connect(_path);
        using var accepted = listener.Accept();
        connection.Send("x"u8);
        Assert.Equal(1, accepted.Receive(new byte[1]));
    }

    [Theory]
    [InlineData("")]
    [InlineData("precious")]
    public void A_regular_file_at_the_path_is_not_deleted(string content)
    {
        File.WriteAllText(_path, content);
        var refused = Assert.Throws<IOException>(() => UnixListener.Bind(_path));
        Assert.Contains(_path, refused.Message, StringComparison.Ordinal);
        Assert.Equal(content, File.ReadAllText(_path));
    }

    [Fact]
    public void A_regular_file_that_cannot_be_opened_is_not_deleted()
    {
        File.WriteAllText(_path, "precious");
        using (var locked = new FileStream(_path, FileMode.Open, FileAccess.ReadWrite, FileShare.None))
        {
            Assert.Throws<IOException>(() => UnixListener.Bind(_path));
            Assert.True(File.Exists(_path));
        }
        // Refused for a user without write permission; root can write all the same.
        File.SetAttributes(_path, FileAttributes.ReadOnly);
        Assert.Throws<IOException>(() => UnixListener.Bind(_path));
        Assert.Equal("precious", File.ReadAllText(_path));
    }

    [Fact]
    public void A_folder_or_an_invalid_path_is_an_error_that_names_it()
    {
        Directory.CreateDirectory(_path);
        try
        {
            Assert.Contains(_path, Assert.Throws<IOException>(() => UnixListener.Bind(_path)).Message, StringComparison.Ordinal);
            Assert.True(Directory.Exists(_path));
        }
        finally
        {
            Directory.Delete(_path);
        }
        Assert.Throws<IOException>(() => UnixListener.Bind(_path + "/no/such/folder"));
        Assert.Throws<IOException>(() => UnixListener.Bind("/tmp/" + new string('x', 200)));
    }

    [Fact]
    public void A_closed_listener_accepts_no_connection()
    {
        var listener = UnixListener.Bind(_path);
        listener.Dispose();
        listener.Dispose();
        Assert.Throws<IOException>(listener.Accept);
        Assert.Throws<IOException>(() => UnixConnection.Connect(_path));
    }
}
