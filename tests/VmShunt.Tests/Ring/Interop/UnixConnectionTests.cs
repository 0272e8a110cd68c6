using System.Net.Sockets;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Interop;

public sealed class UnixConnectionTests : IDisposable
{
    private readonly UnixConnection _one, _other;

    public UnixConnectionTests() => (_one, _other) = UnixConnection.CreatePair();

    public void Dispose()
    {
        _one.Dispose();
        _other.Dispose();
    }

    [Fact]
    public void Many_small_messages_arrive_as_one_stream()
    {
        var sender = new Thread(() =>
        {
            for (var i = 0; i < 10_000; i++) _one.Send(BitConverter.GetBytes(i));
            _one.ShutdownSend();
        });
        sender.Start();
        var number = new byte[4];
        for (var i = 0; i < 10_000; i++)
        {
            Assert.True(_other.ReceiveExactly(number));
            Assert.Equal(i, BitConverter.ToInt32(number));
        }
        Assert.False(_other.ReceiveExactly(number));
        Assert.Equal(0, _other.Receive(number));
        sender.Join();
        // The other direction is still open.
        _other.Send("back"u8);
        Assert.True(_one.ReceiveExactly(number));
    }

    [Fact]
    public void A_message_larger_than_the_socket_buffer_arrives_whole_and_its_descriptors_once()
    {
        using var file = SharedMemoryFile.Create("test", 4096);
        using var descriptors = new DescriptorQueue();
        var sent = new byte[3_000_000];
        Random.Shared.NextBytes(sent);
        var sender = new Thread(() => _one.Send(sent, [file, file]));
        sender.Start();
        var received = new byte[sent.Length];
        Assert.True(_other.ReceiveExactly(received, descriptors));
        sender.Join();
        Assert.Equal(sent, received);
        Assert.Equal(2, descriptors.Count);
    }

    [Fact]
    public void Descriptors_arrive_in_order_when_one_receive_returns_several_messages()
    {
        using var descriptors = new DescriptorQueue();
        var files = Enumerable.Range(1, 6).Select(i => SharedMemoryFile.Create("test", i * 4096)).ToArray();
        _one.Send("a"u8);
        _one.Send("b"u8, [files[0]]);
        _one.Send("c"u8);
        _one.Send("d"u8, [files[1], files[2], files[3]]);
        _one.Send("e"u8, [files[4], files[5]]);
        Assert.True(_other.ReceiveExactly(new byte[5], descriptors));
        for (var i = 1; i <= 6; i++)
        {
            Assert.True(descriptors.TryTake(out var file));
            using (file) Assert.Equal(i * 4096, RandomAccess.GetLength(file));
        }
        Assert.False(descriptors.TryTake(out _));
        foreach (var file in files)
        {
            Assert.Equal(1, Descriptors.Of(file));
            file.Dispose();
        }
    }

    [Fact]
    public void Descriptors_that_are_not_dequeued_are_closed()
    {
        using var file = SharedMemoryFile.Create("test", 4096);
        _one.Send("a"u8, [file, file]);
        Assert.True(_other.ReceiveExactly(new byte[1]));
        Assert.Equal(1, Descriptors.Of(file));
        using (var descriptors = new DescriptorQueue())
        {
            _one.Send("a"u8, [file, file]);
            Assert.True(_other.ReceiveExactly(new byte[1], descriptors));
            Assert.Equal(3, Descriptors.Of(file));
        }
        Assert.Equal(1, Descriptors.Of(file));
        // Sent, but not received when the socket closes.
        _one.Send("a"u8, [file, file]);
        _one.Dispose();
        _other.Dispose();
        Assert.Equal(1, Descriptors.Of(file));
    }

    [Fact]
    public void A_full_descriptor_queue_closes_further_descriptors()
    {
        using var file = SharedMemoryFile.Create("test", 4096);
        using var descriptors = new DescriptorQueue();
        var many = Enumerable.Repeat<System.Runtime.InteropServices.SafeHandle>(file, UnixConnection.MaxDescriptors).ToArray();
        for (var i = 0; i < 3; i++)
        {
            _one.Send("a"u8, many);
            Assert.True(_other.ReceiveExactly(new byte[1], descriptors));
        }
        Assert.Equal(UnixConnection.MaxDescriptors, descriptors.Count);
        Assert.Equal(UnixConnection.MaxDescriptors + 1, Descriptors.Of(file));
        Assert.Throws<ArgumentOutOfRangeException>(() => _one.Send("a"u8, [.. many, file]));
        _one.Send("still there"u8);
    }

    [Fact]
    public void A_socket_can_be_sent_over_a_socket()
    {
        var (left, right) = UnixConnection.CreatePair();
        using (left)
        {
            using var descriptors = new DescriptorQueue();
            _one.Send("x"u8, [right.Handle]);
            right.Dispose();
            Assert.True(_other.ReceiveExactly(new byte[1], descriptors));
            Assert.True(descriptors.TryTake(out var descriptor));
            using var passed = UnixConnection.FromDescriptor(descriptor);
            left.Send("hello"u8);
            var hello = new byte[5];
            Assert.True(passed.ReceiveExactly(hello));
            Assert.Equal("hello"u8, hello);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_blocked_receive_returns_when_the_connection_closes(bool byPeer)
    {
        // Repeated, so that the close happens before, in and after the receive call.
        for (var round = 0; round < 100; round++)
        {
            var (one, other) = UnixConnection.CreatePair();
            using var reading = new ManualResetEventSlim();
            var result = -1;
            var reader = new Thread(() =>
            {
                Assert.Equal(1, other.Receive(new byte[1]));
                reading.Set();
                result = other.Receive(new byte[1]);
            });
            reader.Start();
            one.Send("x"u8);
            reading.Wait();
            if (round % 2 == 0) Thread.Yield();
            if (byPeer) one.Dispose();
            else other.Shutdown();
            Assert.True(reader.Join(60_000));
            Assert.Equal(0, result);
            // A second shutdown has no effect, before or after disposal.
            other.Shutdown();
            other.Dispose();
            other.Shutdown();
            other.ShutdownSend();
            one.Dispose();
        }
    }

    [Fact]
    public void A_message_that_is_cut_short_is_an_error()
    {
        _one.Send("abc"u8);
        _one.Dispose();
        var broken = Assert.Throws<IOException>(() => _other.ReceiveExactly(new byte[4]));
        Assert.Contains("3 of 4", broken.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Sending_to_a_closed_peer_is_an_error_and_raises_no_signal()
    {
        _other.Dispose();
        Assert.Throws<IOException>(() =>
        {
            for (var i = 0; i < 2; i++) _one.Send("x"u8);
        });
    }

    [Fact]
    public void The_error_names_a_path_that_no_process_listens_on()
    {
        var missing = Assert.Throws<IOException>(() => UnixConnection.Connect("/tmp/vmshunt-no-such-socket"));
        Assert.Contains("/tmp/vmshunt-no-such-socket", missing.Message, StringComparison.Ordinal);
        Assert.Contains("no such socket", missing.Message, StringComparison.Ordinal);
        Assert.Throws<IOException>(() => UnixConnection.Connect("/tmp/" + new string('x', 200)));
        Assert.Throws<IOException>(() => UnixConnection.Connect(""));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Connecting_waits_for_a_server_that_starts_later(bool afterAKilledOne)
    {
        var path = Path.Combine(Path.GetTempPath(), $"vmshunt-later-{Guid.NewGuid():N}");
        if (afterAKilledOne)
        {
            using (var killed = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
            {
                killed.Bind(new UnixDomainSocketEndPoint(path));
                // .NET removes the path when the socket is disposed; a killed process does not.
                File.Move(path, path + "-kept");
            }
            File.Move(path + "-kept", path);
        }
        Assert.Equal(afterAKilledOne, File.Exists(path));
        try
        {
            var connecting = Task.Run(() => UnixConnection.ConnectWithRetry(path, TimeSpan.FromMinutes(1)));
            Assert.NotSame(connecting, await Task.WhenAny(connecting, Task.Delay(50)));
            using var listener = UnixListener.Bind(path);
            using var client = await connecting;
            using var server = listener.Accept();
            client.Send("x"u8);
            Assert.True(server.ReceiveExactly(new byte[1]));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Connecting_fails_after_the_timeout_and_names_the_path()
    {
        var path = Path.Combine(Path.GetTempPath(), $"vmshunt-never-{Guid.NewGuid():N}");
        var missing = Assert.Throws<IOException>(() => UnixConnection.ConnectWithRetry(path, TimeSpan.FromMilliseconds(20)));
        Assert.Contains($"{path}: there is no such socket", missing.Message, StringComparison.Ordinal);
        // An invalid path fails at once, because a retry cannot succeed.
        Assert.Throws<IOException>(() => UnixConnection.ConnectWithRetry("", TimeSpan.FromDays(1)));
    }

    [Fact]
    public void An_odd_number_of_descriptors_arrives_whole()
    {
        // Their control message is padded to a whole word.
        using var file = SharedMemoryFile.Create("test", 4096);
        using var descriptors = new DescriptorQueue();
        foreach (var count in (int[])[1, 2, 3])
        {
            _one.Send("a"u8, [.. Enumerable.Repeat<System.Runtime.InteropServices.SafeHandle>(file, count)]);
            Assert.True(_other.ReceiveExactly(new byte[1], descriptors));
            Assert.Equal(count, descriptors.Count);
            descriptors.CloseAll();
            Assert.Equal(1, Descriptors.Of(file));
        }
    }

    [Fact]
    public void Sending_and_receiving_allocate_nothing()
    {
        using var descriptors = new DescriptorQueue();
        var sent = new byte[100];
        var received = new byte[100];
        Work();
        var before = GC.GetAllocatedBytesForCurrentThread();
        Work();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(sent, received);

        void Work()
        {
            for (var i = 0; i < 1000; i++)
            {
                sent[i % 100] = (byte)i;
                _one.Send(sent);
                Assert.True(_other.ReceiveExactly(received, descriptors));
                Assert.True(_other.TrySend(received));
                Assert.True(_one.Receive(received) == 100);
            }
        }
    }

    [Fact]
    public void Data_anywhere_in_the_managed_heap_arrives_while_the_heap_is_compacted()
    {
        using var stop = new CancellationTokenSource();
        var compacting = new Thread(() =>
        {
            while (!stop.IsCancellationRequested) GC.Collect(0, GCCollectionMode.Forced, blocking: true, compacting: true);
        });
        compacting.Start();
        for (var i = 0; i < 500; i++)
        {
            // Fresh arrays in the first generation, which a collection moves.
            var sent = new byte[64];
            var received = new byte[64];
            Random.Shared.NextBytes(sent);
            _one.Send(sent);
            Assert.True(_other.ReceiveExactly(received));
            Assert.Equal(sent, received);
        }
        stop.Cancel();
        compacting.Join();
    }

    [Fact]
    public void The_descriptor_closes_with_its_last_reference()
    {
        var handle = _one.Handle;
        Assert.Equal(1, Descriptors.Of(handle));
        using (var wait = new WaitSet(handle))
        {
            _one.Dispose();
            // The wait set still holds a reference.
            Assert.False(wait.Wait(0));
        }
        Assert.Equal(0, _other.Receive(new byte[1]));
        Assert.True(handle.IsClosed);
        Assert.IsType<SafeFileHandle>(handle);
    }
}
