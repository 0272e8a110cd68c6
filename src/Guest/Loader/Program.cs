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

// Many requests at a time fail as many exceptions.
static Exception Cause(Exception e) => e is AggregateException { InnerException: { } inner } ? inner : e;
