using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using VmShunt.AhciBackend;
using VmShunt.BlockBackend;
using VmShunt.HostPartition;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Sandbox;
using VmShunt.Terminal;

return HostOptions.Invoke(args, Run);

static int Run(HostOptions options)
{
    var confinement = Confinement.Enter(options.Sandbox, () => HostNeeds.Of(options));
    using var log = new ProgramLog("VM-H", options.Log);
    LastDefence.Use(log.Logger);
    return Serve(options, confinement, log.Logger);
}

static int Serve(HostOptions options, Confinement? confinement, ILogger log)
{
    var stopLimit = TimeSpan.FromSeconds(10);
    string? vhostUser = options.VhostUser is { } ringAddress ? Systemd.Resolve(ringAddress) : null;
    string? vfioUser = options.VfioUser is { } trapAddress ? Systemd.Resolve(trapAddress) : null;
    var disk = HostDisk.Open(options.Disk, options.Open, log);
    using var lifetime = new Lifetime(options.Linger, log);
    using var server = new BlockServer(disk, options.Serve with { Log = log });
    server.SessionsChanged += lifetime.ClientsChanged;
    using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, context =>
    {
        context.Cancel = true;
        server.Refresh();
    });
    var ring = vhostUser is null ? null : server.ListenVhostUser(vhostUser);
    using var withdraw = PosixSignalRegistration.Create(UserSignal.Rescind, context =>
    {
        context.Cancel = true;
        if (ring?.TryWithdraw() == true) log.BusWithdrawn(options.VhostUser!);
    });
    using var offer = PosixSignalRegistration.Create(UserSignal.Offer, context =>
    {
        context.Cancel = true;
        Offer();
    });
    if (vfioUser is not null) server.ListenVfioUser(vfioUser);

    if (confinement is not null)
    {
        // Maps the code of the guarded copy, which the filter refuses.
        _ = BulkCopy.Unguarded;
        log.Confined(confinement.Seal());
    }
    using var pidFile = PidFile.Write(options.PidFile);
    Systemd.Notify("READY=1");
    // A pipe that is full must not keep the process from its signals.
    new Thread(ReportReady) { IsBackground = true, Name = "ready" }.Start();
    lifetime.WaitForExit();
    Systemd.Notify("STOPPING=1");
    // A disk that does not answer must not keep the process: what it still has ends with it.
    if (Task.Run(server.Dispose).Wait(stopLimit)) return 0;
    log.StopGivenUp(disk.Name, stopLimit.TotalSeconds);
    return 1;

    // The disk is served whether or not the line has a reader.
    void ReportReady()
    {
        try
        {
            OutputLine.Write(string.Join(' ', new[]
            {
                $"ready disk={disk.Name}",
                options.VhostUser is null ? null : $"vhost-user={options.VhostUser}",
                options.VfioUser is null ? null : $"vfio-user={options.VfioUser}",
            }.Where(part => part is not null)));
        }
        catch (IOException e)
        {
            log.ReadyUnsaid(e.Message);
        }
    }

    void Offer()
    {
        try
        {
            if (ring?.TryListen() == true) log.BusOffered(options.VhostUser!);
        }
        catch (IOException e)
        {
            log.BusNotOffered(e.Message);
        }
    }
}
