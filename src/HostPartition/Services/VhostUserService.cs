using Microsoft.Extensions.Logging;
using VmShunt.HostPartition.Disk;
using VmShunt.HostPartition.Log;
using VmShunt.HostPartition.VirtioBlk;
using VmShunt.HostPartition.VirtioBlk.Serving;
using VmShunt.Ring.VhostUser;

namespace VmShunt.HostPartition.Services;

/// <summary>The ring path's server: each vhost-user session on the socket is one guest's virtio-blk device, all on the same disk.</summary>
internal static class VhostUserService
{
    internal static SessionListener Listen(string path, RingOptions options, VirtualizationDriver disk, PollGroups groups, Lifetime lifetime, ILogger log)
    {
        var sessions = 0;
        return new SessionListener(
            path,
            connection =>
            {
                var session = Interlocked.Increment(ref sessions);
                log.SessionOpened(session);
                using var device = new VirtioBlkDevice(disk, options.Queues, options.QueueSize, options.Primary);
                var blk = new VhostUserBlkDevice(device, options.Queues, options.QueueSize, options.Poll, groups, log);
                using var backend = new VhostUserBackend(new VhostUserConnection(connection), blk, refusal => log.MessageRefused(session, refusal));
                disk.CapacityChanged += backend.NotifyConfigChanged;
                var reason = backend.Run();
                disk.CapacityChanged -= backend.NotifyConfigChanged;
                // Logged before the socket closes: the hypervisor waits for the close, so both logs are in order.
                log.SessionClosed(session, reason ?? "the front-end closed it");
            },
            lifetime.ClientsChanged);
    }
}
