using VmShunt.AhciBackend;
using VmShunt.BlockBackend;
using VmShunt.Ring.Interop;
using VmShunt.Tests.Doubles;
using VmShunt.Tests.Hypervisor;
using VmShunt.Trap.Ahci;
using VmShunt.Trap.VfioUser;

namespace VmShunt.Tests.HostPartition.Ahci;

public sealed class AhciServerTests
{
    private readonly LogLines _log = new();
    private readonly string _path = RunningHypervisor.NewSocket();

    [Fact]
    public void A_vfio_user_session_is_an_AHCI_controller_until_the_client_closes_it()
    {
        using (var server = new BlockServer(HostDisk.Open("memory:1M"), new BlockServerOptions { Log = _log }))
        {
            server.ListenVfioUser(_path);
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
        using (var server = new BlockServer(HostDisk.Open("memory:1M"), new BlockServerOptions { Log = _log }))
        {
            server.ListenVfioUser(_path);
            using var client = UnixConnection.Connect(_path);
            client.Send(new byte[64]);
            Assert.Equal(0, client.Receive(new byte[1]));
        }
        Assert.StartsWith("trap: session 1 closed: device stopped, guest memory released (the client sent", _log.All[1], StringComparison.Ordinal);
    }
}
