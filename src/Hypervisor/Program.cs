using System.CommandLine.Invocation;
using Microsoft.Extensions.Logging;
using VmShunt.Hypervisor;

var parsed = HypervisorOptions.Command(options =>
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
}).Parse(args);
if (parsed.Action is ParseErrorAction)
{
    var faults = string.Join(' ', parsed.Errors.Select(error => error.Message)).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
    Console.Error.WriteLine($"vmshunt-hypervisor: {string.Join(' ', faults).TrimEnd('.')}; vmshunt-hypervisor --help says what is possible");
    return 1;
}
return parsed.Invoke();
