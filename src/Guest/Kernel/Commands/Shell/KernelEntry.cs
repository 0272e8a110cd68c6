using VmShunt.Guest.Firmware.Boot;
using VmShunt.Terminal;

namespace VmShunt.Guest.Commands.Shell;

/// <summary>The kernel's entry point, which the loader calls.</summary>
public static class KernelEntry
{
    /// <summary>Runs the kernel until its command completes.</summary>
    /// <returns>The exit code: 0 if the command succeeded.</returns>
    public static int Start(BootParameters boot) => CommandLineRun.Guard("vmshunt-guest", () => GuestCommandLine.Invoke(boot));
}
