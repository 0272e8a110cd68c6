using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using VmShunt.HostPartition.Disk;
using VmShunt.HostPartition.Log;
using VmShunt.HostPartition.Process;
using VmShunt.HostPartition.Services;
using VmShunt.HostPartition.VirtioBlk.Serving;
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
    var port = DiskSpec.Open(options.Disk, options.ReadOnly, options.Cache, log, options.Engine);
    using var disk = new VirtualizationDriver(
        new HostClassDriver(port, log, options.OnFull == NoSpacePolicy.Wait), options.Serial, options.BlockBytes, options.Cache != CacheMode.WriteThrough);
    using var lifetime = new Lifetime(options.Linger, log);
    using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, context =>
    {
        context.Cancel = true;
        disk.Refresh();
    });
    using var groups = new PollGroups(options.Pollers, options.Poll);
    using var ring = options.VhostUser is { } path ? VhostUserService.Listen(path, options.Ring, disk, groups, lifetime, log) : null;
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
    using var trap = options.VfioUser is { } trapPath ? VfioUserService.Listen(trapPath, disk, lifetime, log) : null;

    Console.WriteLine(string.Join(' ', new[]
    {
        $"ready disk={disk.Description}",
        options.VhostUser is null ? null : $"vhost-user={options.VhostUser}",
        options.VfioUser is null ? null : $"vfio-user={options.VfioUser}",
    }.Where(part => part is not null)));
    lifetime.WaitForExit();
    return 0;

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
