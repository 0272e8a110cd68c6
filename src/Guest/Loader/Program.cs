using VmShunt.Guest.Loader;
using VmShunt.Trap.VmExit;

try
{
    return Loader.Run(args);
}
catch (Exception e) when (e is IOException or HypervisorLostException or MachineCheckException or BootException)
{
    Console.Error.WriteLine($"vmshunt-guest: {e.Message}");
    return 1;
}
