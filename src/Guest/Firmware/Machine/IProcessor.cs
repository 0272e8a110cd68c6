using Microsoft.Win32.SafeHandles;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Firmware.Machine;

/// <summary>
/// A processor as the code that runs on it sees it: the instructions that do more than compute. One thread at a time.
/// </summary>
public interface IProcessor : IMmio
{
    /// <summary>The registers, as the last of these instructions left them.</summary>
    ref ProcessorState State { get; }

    /// <summary>Sleeps until an interrupt comes (<c>hlt</c>). One that came before ends the sleep at once.</summary>
    /// <returns>The vector.</returns>
    int Halt();

    /// <summary>Calls the hypervisor (<c>vmcall</c>). Results are in RBX, RCX and RDX of <see cref="State"/>.</summary>
    /// <param name="code">One of <see cref="Hypercall"/>.</param>
    /// <param name="p1">The parameter in RDX.</param>
    /// <exception cref="InvalidOpcodeException">There is no hypervisor.</exception>
    HypercallStatus Call(ulong code, ulong p1 = 0);

    /// <summary>Calls the hypervisor for something that comes as a descriptor.</summary>
    /// <param name="code">One of <see cref="Hypercall"/>.</param>
    /// <param name="p1">The parameter in RDX.</param>
    /// <param name="descriptor">What came, the caller's from now on; null when the call did not succeed.</param>
    /// <exception cref="InvalidOpcodeException">There is no hypervisor.</exception>
    HypercallStatus Call(ulong code, ulong p1, out SafeFileHandle? descriptor);
}
