using VmShunt.Ring.Serving;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;
using VmShunt.Tests.Hostile;

namespace VmShunt.Tests.Ring.Serving;

/// <summary>What guests and devices do wrong behind a <see cref="VhostUserServer"/>: it harms their own session alone, and is reported.</summary>
public sealed class DeviceMistakeTests
{
    [Fact]
    public async Task Memory_that_is_truncated_under_a_device_ends_its_session_and_no_other()
    {
        await using var served = new ServedDevices();
        using var good = new DeviceSession(served.Path).Start();
        good.AssertEcho();
        var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite, FileOptions.DeleteOnClose, 1 << 20);
        RandomAccess.SetLength(file, 1 << 20);
        using var bad = new DeviceSession(served.Path, ram: new TestMemory(1 << 20, file)).Start();
        bad.AssertEcho();
        // The ring stays; the device's own code copies from the buffer.
        RandomAccess.SetLength(file, (long)(DeviceSession.Text - TestMemory.Start));
        bad.Offer(new Piece(DeviceSession.Text, 4), new Piece(DeviceSession.Answer, 4, DescriptorFlags.Write));
        Assert.Contains("(it has truncated memory that it shares)", served.Await(ServerReportKind.SessionClosed), StringComparison.Ordinal);
        good.AssertEcho();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_address_outside_of_guest_memory_fails_its_request(bool packed)
    {
        await using var served = new ServedDevices();
        using var session = new DeviceSession(served.Path, packed).Start();
        foreach (var address in (ulong[])[0, TestMemory.Start - 1, TestMemory.Start + (1 << 20) - 2, ulong.MaxValue - 8])
        {
            session.Offer(new Piece(DeviceSession.Text, 4), new Piece(address, 4, DescriptorFlags.Write));
            Assert.Equal(0u, session.Complete());
            session.Offer(new Piece(address, 4), new Piece(DeviceSession.Answer, 4, DescriptorFlags.Write));
            Assert.Equal(0u, session.Complete());
        }
        session.AssertEcho();
        Assert.StartsWith("session 1: queue 0: a chain has a buffer outside the guest's memory", served.Await(ServerReportKind.Failure), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false, "loop")]
    [InlineData(false, "index")]
    [InlineData(false, "long table")]
    [InlineData(true, "long table")]
    [InlineData(false, "order")]
    [InlineData(true, "order")]
    public async Task A_malformed_chain_breaks_its_queue_until_it_is_set_up_again_and_no_other_session(bool packed, string what)
    {
        await using var served = new ServedDevices();
        using var good = new DeviceSession(served.Path).Start();
        good.AssertEcho();
        using var bad = new DeviceSession(served.Path, packed).Start();
        switch (what)
        {
            case "loop":
                var ring = (HandSplitRing)bad.Ring;
                ring.Write(0, new Piece(DeviceSession.Text, 4, DescriptorFlags.Next), next: 0);
                ring.OfferHead(0);
                bad.Kick.Signal();
                break;
            case "index":
                ((HandSplitRing)bad.Ring).OfferHead(HandRing.Size);
                bad.Kick.Signal();
                break;
            case "long table":
                bad.Offer(new Piece(HandRing.Table, 16 * 1025, DescriptorFlags.Indirect));
                break;
            case "order":
                bad.Offer(new Piece(DeviceSession.Answer, 4, DescriptorFlags.Write), new Piece(DeviceSession.Text, 4));
                break;
        }
        Assert.Null(bad.Complete());
        Assert.StartsWith("session 2: queue 0 was stopped, because its driver broke it: ", served.Await(ServerReportKind.QueueBroken), StringComparison.Ordinal);
        good.AssertEcho();
        bad.Frontend.StopRing(0);
        bad.Start().AssertEcho();
    }

    [Fact]
    public async Task A_device_that_throws_fails_the_request_and_serves_the_next()
    {
        var calls = 0;
        await using var served = new ServedDevices(_ => new ScriptedDevice
        {
            Serving = queue =>
            {
                if (calls++ == 0) throw new NotSupportedException("no such request");
                ScriptedDevice.Echo(queue);
            },
        });
        using var session = new DeviceSession(served.Path).Start();
        session.Submit(1);
        Assert.Equal(0u, session.Complete());
        session.AssertEcho();
        Assert.Equal("session 1: queue 0: ScriptedDevice.Serve threw NotSupportedException: no such request", served.Await(ServerReportKind.Failure));
    }

    [Theory]
    [InlineData("OnConnected")]
    [InlineData("OnNegotiated")]
    public async Task A_device_that_throws_while_its_session_is_set_up_closes_that_session(string call)
    {
        await using var served = new ServedDevices(session => new ScriptedDevice { Throws = session == 1 ? call : null });
        Assert.ThrowsAny<IOException>(() => new DeviceSession(served.Path));
        Assert.Contains($"ScriptedDevice.{call} threw InvalidOperationException: as the test says", served.Await(ServerReportKind.SessionClosed), StringComparison.Ordinal);
        using var next = new DeviceSession(served.Path).Start();
        next.AssertEcho();
        Assert.True(SpinWait.SpinUntil(() => served.Device.Calls.Contains("Dispose"), TimeSpan.FromSeconds(60)));
        Assert.Equal(["OnDisconnected", "Dispose"], served.Device.Calls.TakeLast(2));
    }

    [Theory]
    [InlineData("OnDisconnected")]
    [InlineData("Dispose")]
    public async Task A_device_that_throws_at_its_end_is_reported(string call)
    {
        await using var served = new ServedDevices(_ => new ScriptedDevice { Throws = call });
        using (var session = new DeviceSession(served.Path).Start()) session.AssertEcho();
        Assert.Contains($"ScriptedDevice.{call} threw", served.Await(ServerReportKind.Failure), StringComparison.Ordinal);
        using var next = new DeviceSession(served.Path).Start();
        next.AssertEcho();
    }

    [Fact]
    public async Task A_device_that_throws_at_its_configuration_space_refuses_the_message()
    {
        await using var served = new ServedDevices(session => new ScriptedDevice { Throws = session == 1 ? "ReadConfig" : "TryWriteConfig" });
        using (var session = new DeviceSession(served.Path).Start())
        {
            Assert.False(session.Frontend.TryReadConfig(new byte[1]));
            session.AssertEcho();
        }
        using (var session = new DeviceSession(served.Path).Start())
        {
            Assert.False(session.Frontend.TryWriteConfig([1], 1));
            session.AssertEcho();
        }
        Assert.Contains("ReadConfig threw", served.Await(ServerReportKind.Failure), StringComparison.Ordinal);
        Assert.Contains("TryWriteConfig threw", served.Await(ServerReportKind.Failure, 2), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_handler_of_reports_that_throws_ends_no_session()
    {
        await using var served = new ServedDevices();
        served.Server.Reported += static (_, _) => throw new InvalidOperationException("as the test says");
        using var session = new DeviceSession(served.Path).Start();
        session.AssertEcho();
    }

    [Theory]
    [InlineData("null", "the factory returned null")]
    [InlineData("throws", "no device left")]
    [InlineData("size", "QueueSize is 3: a queue's size is a power of two up to 32768")]
    [InlineData("queues", "QueueCount is 257: a device has 1 to 256 queues")]
    [InlineData("features", "Features has bits 100000000")]
    [InlineData("config", "ConfigLength is 257")]
    [InlineData("shared", "create a new device for each")]
    public async Task A_session_without_a_usable_device_is_refused_with_the_reason(string what, string why)
    {
        var shared = new ScriptedDevice();
        await using var served = new ServedDevices(session => (what, session) switch
        {
            ("null", 2) => null,
            ("throws", 2) => throw new InvalidOperationException("no device left"),
            ("size", 2) => new ScriptedDevice { Entries = 3 },
            ("queues", 2) => new ScriptedDevice { Queues = 257 },
            ("features", 2) => new ScriptedDevice { Offered = 1UL << 32 },
            ("config", 2) => new ScriptedDevice { Config = new byte[257] },
            ("shared", <= 2) => shared,
            _ => new ScriptedDevice(),
        });
        using var first = new DeviceSession(served.Path).Start();
        Assert.ThrowsAny<IOException>(() => new DeviceSession(served.Path));
        Assert.Contains(why, served.Await(ServerReportKind.SessionRefused), StringComparison.Ordinal);
        first.AssertEcho();
        Assert.DoesNotContain("Dispose", served.Device.Calls);
        using var third = new DeviceSession(served.Path).Start();
        third.AssertEcho();
    }
}
