using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Memory;

namespace VmShunt.Guest.Firmware.Machine;

/// <summary>
/// The machine that the loader and then the kernel run on: memory, processors, a PCI configuration space. It may be virtual
/// or physical; this interface does not tell which. Any thread.
/// </summary>
public interface IMachine
{
    /// <summary>The physical memory, crash reserve included.</summary>
    GuestMemory Memory { get; }

    /// <summary>
    /// The RAM that a crash dumps, at the same addresses, once the crash was reported. It is the RAM itself if only the
    /// processors and the controllers access that.
    /// </summary>
    GuestMemory DumpMemory => Memory;

    /// <summary>The file behind the RAM, to pass to a bus peer. Owned by the machine.</summary>
    SafeFileHandle MemoryFile { get; }

    /// <summary>The parts of the RAM: low RAM, and high RAM if there is any.</summary>
    IReadOnlyList<MemoryPart> Parts { get; }

    /// <summary>The RAM in bytes, without the crash reserve.</summary>
    ulong RamBytes { get; }

    /// <summary>The address of the crash reserve.</summary>
    ulong CrashReserveAddress { get; }

    /// <summary>The size of the crash reserve in bytes.</summary>
    int CrashReserveBytes { get; }

    /// <summary>The address of the PCI configuration space.</summary>
    ulong EcamAddress { get; }

    /// <summary>Starts a processor. Each can start once.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The machine has no such processor.</exception>
    /// <exception cref="IOException">The processor does not start.</exception>
    IProcessor StartProcessor(int index);

    /// <summary>Powers the machine off. Its processors stop at once, whatever they run.</summary>
    void PowerOff();
}
