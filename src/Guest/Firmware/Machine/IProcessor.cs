using Microsoft.Win32.SafeHandles;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Firmware.Machine;

/// <summary>
/// A processor as its code uses it: register accesses, halt, and hypercalls. One thread at a time.
/// </summary>
public interface IProcessor : IMmio
{
    /// <summary>The registers after the last of these instructions.</summary>
    ref ProcessorState State { get; }

    /// <summary>Blocks until an interrupt (<c>hlt</c>). Returns at once if one is pending.</summary>
    /// <returns>The vector.</returns>
    int Halt();

    /// <summary>Calls the hypervisor (<c>vmcall</c>). Results are in RBX, RCX and RDX of <see cref="State"/>.</summary>
    /// <param name="code">One of <see cref="Hypercall"/>.</param>
    /// <param name="p1">The parameter in RDX.</param>
    /// <exception cref="InvalidOpcodeException">No hypervisor runs this processor.</exception>
    HypercallStatus Call(ulong code, ulong p1 = 0);

    /// <summary>Calls the hypervisor for a file descriptor.</summary>
    /// <param name="code">One of <see cref="Hypercall"/>.</param>
    /// <param name="p1">The parameter in RDX.</param>
    /// <param name="descriptor">The descriptor, owned by the caller; null if the call failed.</param>
    /// <exception cref="InvalidOpcodeException">No hypervisor runs this processor.</exception>
    HypercallStatus Call(ulong code, ulong p1, out SafeFileHandle? descriptor);
}
