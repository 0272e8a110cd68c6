using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;
using VmShunt.Hypervisor;

return HypervisorOptions.Command(options =>
{
    using var logging = LoggerFactory.Create(builder =>
    {
        builder.AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.ColorBehavior = LoggerColorBehavior.Disabled;
        });
        builder.Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
    });
    using var hypervisor = new HypervisorProcess(options, new MonotonicLogger(logging.CreateLogger("hypervisor")));
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
}).Parse(args).Invoke();
