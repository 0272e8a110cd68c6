using Microsoft.Extensions.Logging;
using VmShunt.Hypervisor;

return HypervisorOptions.Invoke(args, Run);

static int Run(HypervisorOptions options)
{
    using var logging = LoggerFactory.Create(builder => builder
        .AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace)
        .AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.TimestampFormat = "HH:mm:ss.ffffff ";
            console.UseUtcTimestamp = true;
        }));
    using var hypervisor = new HypervisorProcess(options, logging.CreateLogger("hypervisor"));
    try
    {
        hypervisor.Start();
    }
    catch (IOException e)
    {
        Console.Error.WriteLine($"vmshunt-hypervisor: {e.Message}");
        return 1;
    }
    Console.Out.WriteLine($"ready socket={options.Socket}");
    return hypervisor.Run();
}
