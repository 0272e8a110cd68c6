using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Guest.Firmware.Machine;

namespace VmShunt.Guest.Firmware.Boot;

/// <summary>The source of the running kernel.</summary>
public enum BootSource
{
    /// <summary>Started by the loader without a boot disk, as QEMU does with <c>-kernel</c>.</summary>
    Direct,

    /// <summary>Read from the boot partition through the emulated controller, and verified.</summary>
    Image,
}

/// <summary>The parameters that the loader passes to the kernel.</summary>
/// <param name="Source">The source of the kernel.</param>
/// <param name="CommandLine">All arguments of <c>vmshunt-guest</c>.</param>
/// <param name="Machine">The machine; null without one (<c>--bus</c>, <c>--help</c>).</param>
/// <param name="Processor">Processor 0, which the loader ran on and the kernel continues on.</param>
/// <param name="Hba">The controller that the loader booted from, or null.</param>
public sealed record BootParameters(
    BootSource Source,
    IReadOnlyList<string> CommandLine,
    IMachine? Machine,
    IProcessor? Processor,
    AhciHba? Hba)
{
    /// <summary>The type in the entry assembly whose static <c>Start(BootParameters)</c> runs the kernel and returns the exit code.</summary>
    public const string EntryType = "VmShunt.Guest.Commands.Shell.KernelEntry";

    /// <summary>The method of <see cref="EntryType"/>.</summary>
    public const string EntryMethod = "Start";
}
