using Microsoft.Extensions.Logging;
using VmShunt.HostPartition.Ahci.VfioUser;
using VmShunt.HostPartition.Disk;
using VmShunt.HostPartition.Log;
using VmShunt.Trap.VfioUser;

namespace VmShunt.HostPartition.Services;

/// <summary>The trap path's server: each vfio-user session on the socket is one guest's AHCI HBA, all on the same disk.</summary>
internal static class VfioUserService
{
    internal static SessionListener Listen(string path, VirtualizationDriver disk, Lifetime lifetime, ILogger log)
    {
        var sessions = 0;
        return new SessionListener(
            path,
            connection =>
            {
                var number = Interlocked.Increment(ref sessions);
                log.TrapOpened(number);
                var reason = "the client closed it";
                using (var session = new VfioUserSession(connection, interrupt => new AhciVfioDevice(disk, interrupt)))
                {
                    try
                    {
                        session.Run();
                    }
                    catch (IOException e)
                    {
                        reason = e.Message;
                    }
                }
                log.TrapClosed(number, reason);
            },
            lifetime.ClientsChanged);
    }
}
