using Microsoft.Extensions.Logging;
using VmShunt.HostPartition.Disk;
using VmShunt.HostPartition.Log;
using VmShunt.HostPartition.VirtioBlk;
using VmShunt.HostPartition.VirtioBlk.Serving;
using VmShunt.Ring.VhostUser;

namespace VmShunt.HostPartition.Services;

/// <summary>The ring's door: every vhost-user session on the socket is one guest's virtio-blk device on the same disk.</summary>
internal static class VhostUserService
{
    internal static SessionListener Listen(string path, RingOptions options, VirtualizationDriver disk, PollGroups pollers, Lifetime lifetime, ILogger log)
    {
        var sessions = 0;
        return new SessionListener(
            path,
            connection =>
            {
                var session = Interlocked.Increment(ref sessions);
                log.SessionOpened(session);
                using var device = new VirtioBlkDevice(disk, options.Queues, options.QueueSize, options.Primary);
                var blk = new VhostUserBlkDevice(device, options.Queues, options.QueueSize, options.Poll, pollers, log);
                using var backend = new VhostUserBackend(new VhostUserConnection(connection), blk, refusal => log.MessageRefused(session, refusal));
                disk.CapacityChanged += backend.NotifyConfigChanged;
                var reason = backend.Run();
                disk.CapacityChanged -= backend.NotifyConfigChanged;
                // Logged before the socket closes, which is what the hypervisor waits for: the lines of both are in order.
                log.SessionClosed(session, reason ?? "the front-end closed it");
            },
            lifetime.ClientsChanged);
    }
}
