using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using VmShunt.AhciBackend;
using VmShunt.BlockBackend;
using VmShunt.HostPartition;
using VmShunt.Ring.Interop;

return HostOptions.Invoke(args, Run);

static int Run(HostOptions options)
{
    using var logging = LoggerFactory.Create(builder => builder
        .AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace)
        .AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.TimestampFormat = "HH:mm:ss.ffffff ";
            console.UseUtcTimestamp = true;
        }));
    var log = logging.CreateLogger("VM-H");
    try
    {
        return Serve(options, log);
    }
    catch (Exception e) when (e is IOException or FormatException)
    {
        Console.Error.WriteLine($"vmshunt-host: {e.Message}");
        return 1;
    }
}

static int Serve(HostOptions options, ILogger log)
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

    using var pidFile = PidFile.Write(options.PidFile);
    Systemd.Notify("READY=1");
    Console.WriteLine(string.Join(' ', new[]
    {
        $"ready disk={disk.Name}",
        options.VhostUser is null ? null : $"vhost-user={options.VhostUser}",
        options.VfioUser is null ? null : $"vfio-user={options.VfioUser}",
    }.Where(part => part is not null)));
    lifetime.WaitForExit();
    Systemd.Notify("STOPPING=1");
    // A disk that does not answer must not keep the process: what it still has ends with it.
    if (Task.Run(server.Dispose).Wait(stopLimit)) return 0;
    log.StopGivenUp(disk.Name, stopLimit.TotalSeconds);
    return 1;

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
