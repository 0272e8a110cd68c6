using VmShunt.HostPartition.Disk;
using VmShunt.HostPartition.Services;
using VmShunt.HostPartition.VirtioBlk.Serving;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Notification;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;
using VmShunt.Tests.Hypervisor;
using VmShunt.Trap.Ahci;
using VmShunt.Trap.VfioUser;

namespace VmShunt.Tests.HostPartition.Services;

/// <summary>The two servers on one disk, with real sockets.</summary>
public sealed class ServiceTests : IDisposable
{
    private readonly LogLines _log = new();
    private readonly VirtualizationDriver _disk;
    private readonly Lifetime _lifetime;
    private readonly string _path = RunningHypervisor.NewSocket();

    public ServiceTests()
    {
        _disk = new VirtualizationDriver(new HostClassDriver(new MemoryPortDriver(1 << 20), _log), "SERIAL", 512);
        _lifetime = new Lifetime(null, _log);
    }

    public void Dispose()
    {
        _lifetime.Dispose();
        _disk.Dispose();
    }

    [Fact]
    public void Each_vhost_user_session_has_a_device_of_its_own_and_two_log_lines()
    {
        using var groups = new PollGroups(0, WaitPolicy.Never);
        using (VhostUserService.Listen(_path, new RingOptions(2, 128, WaitPolicy.Never, RequestTypes.All), _disk, groups, _lifetime, _log))
        {
            using var one = Open();
            using var other = Open();
            // One guest's cache mode is not another's.
            Assert.True(one.TryWriteConfig([0], VirtioBlkConfig.WriteCacheOffset));
            Assert.Equal((0, 1), (WriteCache(one), WriteCache(other)));
        }
        Assert.Equal(
            ["ring: session 1 closed: rings stopped, guest memory released (the front-end closed it)", "ring: session 1 opened",
             "ring: session 2 closed: rings stopped, guest memory released (the front-end closed it)", "ring: session 2 opened"],
            _log.All.Order(StringComparer.Ordinal));

        VhostUserFrontend Open() => VhostUserFrontend.Open(UnixConnection.Connect(_path), ulong.MaxValue & ~(1UL << 30), (ulong)VirtioBlkFeatures.Version1);

        static byte WriteCache(VhostUserFrontend frontend)
        {
            var config = new byte[VirtioBlkConfig.WriteCacheOffset + 1];
            Assert.True(frontend.TryReadConfig(config));
            return config[^1];
        }
    }

    [Fact]
    public void A_vfio_user_session_is_an_AHCI_controller_until_the_client_closes_it()
    {
        using (VfioUserService.Listen(_path, _disk, _lifetime, _log))
        {
            using var client = VfioUserClient.Connect(_path);
            var version = new byte[4];
            client.ReadRegion(VfioPciRegion.Bar5, HbaRegister.VS, version);
            Assert.Equal(HbaRegister.Version131, BitConverter.ToUInt32(version));
        }
        Assert.Equal(["trap: session 1 opened", "trap: session 1 closed: device stopped, guest memory released (the client closed it)"], _log.All);
    }

    [Fact]
    public void A_vfio_user_client_that_violates_the_protocol_is_disconnected_with_the_reason()
    {
        using (VfioUserService.Listen(_path, _disk, _lifetime, _log))
        {
            using var client = UnixConnection.Connect(_path);
            client.Send(new byte[64]);
            Assert.Equal(0, client.Receive(new byte[1]));
        }
        Assert.StartsWith("trap: session 1 closed: device stopped, guest memory released (the client sent", _log.All[1], StringComparison.Ordinal);
    }
}
