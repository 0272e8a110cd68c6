using VmShunt.Guest.Firmware.Boot;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Commands.Shell;

/// <summary>The kernel's entry point, which the loader calls.</summary>
public static class KernelEntry
{
    /// <summary>Runs the kernel until its command completes.</summary>
    /// <returns>The exit code: 0 if the command succeeded.</returns>
    public static int Start(BootParameters boot)
    {
        try
        {
            return GuestCommandLine.Invoke(boot);
        }
        catch (Exception e) when (e is IOException or HypervisorLostException or MachineCheckException or InvalidOperationException or ArgumentException)
        {
            Console.Error.WriteLine($"vmshunt-guest: {e.Message}");
            return 1;
        }
    }
}
