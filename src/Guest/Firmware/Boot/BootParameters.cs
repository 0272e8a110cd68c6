using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Guest.Firmware.Machine;

namespace VmShunt.Guest.Firmware.Boot;

/// <summary>Where the running kernel came from.</summary>
public enum BootSource
{
    /// <summary>Started by the loader without reading a disk, as <c>-kernel</c> does elsewhere.</summary>
    Direct,

    /// <summary>Read from the boot partition through the emulated controller, and checked.</summary>
    Image,
}

/// <summary>What the loader hands to the kernel that it starts.</summary>
/// <param name="Source">Where the kernel came from.</param>
/// <param name="CommandLine">The arguments of <c>vmshunt-guest</c>, whole.</param>
/// <param name="Machine">The machine, or null when there is none (<c>--bus</c>, <c>--help</c>).</param>
/// <param name="Processor">Processor 0, on which the loader ran; the kernel goes on with it.</param>
/// <param name="Hba">The controller that the loader booted from, or null.</param>
public sealed record BootParameters(
    BootSource Source,
    IReadOnlyList<string> CommandLine,
    IMachine? Machine,
    IProcessor? Processor,
    AhciHba? Hba)
{
    /// <summary>The type in the entry assembly whose static <c>Start(BootParameters)</c> runs the kernel and gives the exit code.</summary>
    public const string EntryType = "VmShunt.Guest.Commands.Shell.KernelEntry";

    /// <summary>The method of <see cref="EntryType"/>.</summary>
    public const string EntryMethod = "Start";
}
