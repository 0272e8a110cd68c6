namespace VmShunt.Guest.Firmware.Machine;

/// <summary>
/// #UD: the processor does not know the instruction. What <c>vmcall</c> raises where no hypervisor is (Intel SDM, volume 3,
/// §31.3: outside VMX non-root operation).
/// </summary>
public sealed class InvalidOpcodeException : Exception
{
    /// <summary>Creates it with no text.</summary>
    public InvalidOpcodeException()
    {
    }

    /// <summary>Creates it with the instruction's name.</summary>
    public InvalidOpcodeException(string message) : base(message)
    {
    }

    /// <summary>Creates it with a text and a cause.</summary>
    public InvalidOpcodeException(string message, Exception innerException) : base(message, innerException)
    {
    }
}
