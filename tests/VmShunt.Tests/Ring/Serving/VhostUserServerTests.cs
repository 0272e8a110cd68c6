using VmShunt.Ring.Interop;
using VmShunt.Ring.Serving;
using VmShunt.Ring.VhostUser;
using VmShunt.Tests.Doubles;
using VmShunt.Tests.Hypervisor;
using VmShunt.Tests.Ring.VhostUser;

namespace VmShunt.Tests.Ring.Serving;

/// <summary>A device of any type behind real sockets: sessions, the device's calls, the stop.</summary>
public sealed class VhostUserServerTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public async Task Requests_are_served_in_both_layouts_directly_and_through_indirect_tables(bool packed, bool indirect)
    {
        await using var served = new ServedDevices();
        using var session = new DeviceSession(served.Path, packed).Start();
        for (var i = 1; i < 100; i++) session.AssertEcho(i, indirect);
        Assert.Equal(packed, (served.Device.Negotiated & 1UL << 34) != 0);
    }

    [Fact]
    public async Task With_event_indices_several_queues_are_served_at_once()
    {
        await using var served = new ServedDevices();
        using var ram = new TestMemory(1 << 18);
        using EchoClient first = new(ram, 0), second = new(ram, 1);
        using var frontend = VhostUserFrontend.Open(UnixConnection.Connect(served.Path), ~(1UL << 30 | 1UL << 34), 1UL << 29 | 1UL << 32);
        frontend.ShareMemory([(TestMemory.Start, (ulong)ram.Bytes, 0)], ram.File);
        Assert.Equal(2, frontend.QueueCount);
        first.Start(frontend, 0);
        second.Start(frontend, 0);
        for (var i = 0; i < 200; i++)
        {
            first.Submit($"first {i}");
            second.Submit($"second {i}");
            first.Complete($"first {i}");
            second.Complete($"second {i}");
        }
    }

    [Fact]
    public async Task Each_session_has_a_device_of_its_own_on_each_of_the_sockets()
    {
        var other = RunningHypervisor.NewSocket();
        await using var served = new ServedDevices();
        served.Server.Listen(other);
        using (var one = new DeviceSession(served.Path).Start())
        using (var two = new DeviceSession(other, packed: true).Start())
        {
            one.AssertEcho(1);
            two.AssertEcho(2);
            Assert.True(one.Frontend.TryWriteConfig([9], 1));
            var config = new byte[6];
            Assert.True(one.Frontend.TryReadConfig(config));
            // Beyond the device's configuration space is nothing.
            Assert.Equal([1, 9, 3, 4, 0, 0], config);
            Assert.True(two.Frontend.TryReadConfig(config));
            Assert.Equal([1, 2, 3, 4, 0, 0], config);
            Assert.False(two.Frontend.TryWriteConfig([9], 2));
            Assert.False(two.Frontend.TryWriteConfig([9], 4));
        }
        served.Await(ServerReportKind.SessionClosed, 2);
        Assert.Equal(["session 1: opened (63)", "session 2: opened (63)"], served.Reports(ServerReportKind.SessionOpened).Order(StringComparer.Ordinal));
        Assert.Equal(
            ["session 1: closed: rings stopped, guest memory released (the front-end closed it)", "session 2: closed: rings stopped, guest memory released (the front-end closed it)"],
            served.Reports(ServerReportKind.SessionClosed).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task The_device_is_called_for_what_its_front_end_and_driver_do()
    {
        await using var served = new ServedDevices();
        using (var session = new DeviceSession(served.Path).Start())
        {
            session.AssertEcho();
            Assert.Equal(1UL << 28 | 1UL << 32 | 1UL << 5, served.Device.Negotiated);
            session.Reset();
            session.Start().AssertEcho();
        }
        served.Await(ServerReportKind.SessionClosed);
        Assert.True(SpinWait.SpinUntil(() => served.Device.Calls.Contains("Dispose"), s_patience));
        Assert.Equal(["OnConnected", "OnNegotiated", "OnReset", "OnDisconnected", "Dispose"], served.Device.Calls);
        // Without a session they have no effect.
        served.Device.WakeUp(0);
        served.Device.ConfigChanged();
    }

    [Fact]
    public async Task A_device_wakes_a_queue_that_is_idle_and_notifies_changes_of_its_configuration()
    {
        var arrived = new ManualResetEventSlim();
        await using var served = new ServedDevices(_ => new ScriptedDevice
        {
            Serving = queue =>
            {
                if (arrived.IsSet) ScriptedDevice.Echo(queue);
            },
        });
        using var session = new DeviceSession(served.Path).Start();
        session.Submit(7);
        // A ring that is stopped and started again has its chains still.
        session.Continue(session.Frontend.StopRing(0));
        arrived.Set();
        served.Device.WakeUp(0);
        session.AssertAnswer(7);
        Assert.Throws<ArgumentOutOfRangeException>(() => served.Device.WakeUp(2));

        using var channel = session.Frontend.OpenBackendRequests();
        Assert.NotNull(channel);
        served.Device.ConfigChanged();
        Assert.True(channel.Receive());
        Assert.Equal(VhostUserBackendRequest.ConfigChange, (VhostUserBackendRequest)channel.Header.Request);
    }

    [Theory]
    [InlineData(0, false)]
    [InlineData(4, true)]
    public async Task A_device_without_a_configuration_space_offers_none(int bytes, bool offered)
    {
        await using var served = new ServedDevices(_ => new ScriptedDevice { Config = new byte[bytes] });
        using var session = new DeviceSession(served.Path).Start();
        Assert.Equal(offered, session.Frontend.ProtocolFeatures.HasFlag(VhostUserProtocolFeatures.Config));
        Assert.Equal(offered, session.Frontend.TryReadConfig(new byte[1]));
        session.AssertEcho();
    }

    [Fact]
    public async Task A_cancelled_server_completes_the_request_in_flight_removes_its_socket_and_returns()
    {
        using var inServe = new SemaphoreSlim(0);
        using var mayComplete = new SemaphoreSlim(0);
        await using var served = new ServedDevices(_ => new ScriptedDevice
        {
            Serving = queue =>
            {
                while (queue.TryTake(out var chain))
                {
                    inServe.Release();
                    mayComplete.Wait();
                    queue.Return(chain, 3);
                }
            },
        });
        using var stop = new CancellationTokenSource();
        var running = served.Server.RunAsync(stop.Token);
        using var session = new DeviceSession(served.Path).Start();
        session.Submit(5);
        Assert.True(await inServe.WaitAsync(s_patience));
        await stop.CancelAsync();
        Assert.True(SpinWait.SpinUntil(() => !File.Exists(served.Path), s_patience), "the socket is removed");
        Assert.False(running.IsCompleted);
        mayComplete.Release();
        await running.WaitAsync(s_patience);
        session.AwaitClose();
        Assert.Equal(3u, session.Complete());
        Assert.Single(served.Reports(ServerReportKind.SessionClosed));

        Assert.Throws<ObjectDisposedException>(() => served.Server.Listen(served.Path));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => served.Server.RunAsync());
    }

    [Fact]
    public async Task Disposal_ends_a_run_and_closes_sessions()
    {
        var served = new ServedDevices();
        var running = served.Server.RunAsync();
        using var session = new DeviceSession(served.Path).Start();
        session.AssertEcho();
        await served.DisposeAsync();
        await running.WaitAsync(s_patience);
        session.AwaitClose();
        await served.DisposeAsync();
    }

    [Fact]
    public async Task A_path_that_cannot_be_a_socket_is_an_exception_that_says_what_to_do()
    {
        await using var served = new ServedDevices();
        await using var second = new VhostUserServer(static () => new ScriptedDevice());
        Assert.Contains("call Listen first", (await Assert.ThrowsAsync<InvalidOperationException>(() => second.RunAsync())).Message, StringComparison.Ordinal);
        Assert.Contains("another process is listening there; choose another path or stop it", Refused(served.Path), StringComparison.Ordinal);
        Assert.Contains("there is no folder /tmp/no/such; create it", Refused("/tmp/no/such/socket"), StringComparison.Ordinal);
        Assert.Contains("at most 107; choose a shorter one", Refused("/tmp/" + new string('x', 104)), StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => second.Listen(""));
        Assert.Throws<ArgumentNullException>(static () => new VhostUserServer(null!));

        string Refused(string path) => Assert.Throws<IOException>(() => second.Listen(path)).Message;
    }
}
