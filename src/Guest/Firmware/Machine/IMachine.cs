using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Memory;

namespace VmShunt.Guest.Firmware.Machine;

/// <summary>
/// The machine that the loader, and then the kernel, finds itself on: memory, processors, a PCI configuration space. It
/// may be virtual or not; what runs on it cannot ask it which. Any thread.
/// </summary>
public interface IMachine
{
    /// <summary>The physical memory, crash reserve included.</summary>
    GuestMemory Memory { get; }

    /// <summary>
    /// The RAM that a crash dumps, at the same addresses, once the crash was reported. Where nobody but the processors and
    /// the controllers reaches the RAM it is the RAM itself.
    /// </summary>
    GuestMemory DumpMemory => Memory;

    /// <summary>The file behind the RAM, to pass to a bus peer; the machine's own.</summary>
    SafeFileHandle MemoryFile { get; }

    /// <summary>The parts of the RAM: low RAM, high RAM where there is any.</summary>
    IReadOnlyList<MemoryPart> Parts { get; }

    /// <summary>The RAM in bytes, without the crash reserve.</summary>
    ulong RamBytes { get; }

    /// <summary>Where the crash reserve lies.</summary>
    ulong CrashReserveAddress { get; }

    /// <summary>The size of the crash reserve in bytes.</summary>
    int CrashReserveBytes { get; }

    /// <summary>Where the PCI configuration space lies.</summary>
    ulong EcamAddress { get; }

    /// <summary>Starts a processor. Each can be started once.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The machine has no such processor.</exception>
    /// <exception cref="IOException">It does not start.</exception>
    IProcessor StartProcessor(int index);

    /// <summary>Switches the machine off. No processor goes on; what it was doing ends somehow.</summary>
    void PowerOff();
}
