using VmShunt.Guest.Loader;
using VmShunt.Trap.VmExit;

try
{
    return Loader.Run(args);
}
catch (Exception e) when (Cause(e) is IOException or HypervisorLostException or MachineCheckException or BootException)
{
    Console.Error.WriteLine($"vmshunt-guest: {Cause(e).Message}");
    return 1;
}

// Concurrent requests that fail throw an AggregateException.
static Exception Cause(Exception e) => e is AggregateException { InnerException: { } inner } ? inner : e;
