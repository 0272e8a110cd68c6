namespace VmShunt.Guest.Firmware.Machine;

/// <summary>
/// #UD: invalid opcode. <c>vmcall</c> raises it outside VMX non-root operation, that is, without a hypervisor (Intel SDM,
/// volume 3, §31.3).
/// </summary>
public sealed class InvalidOpcodeException : Exception
{
    /// <summary>Creates the exception without a text.</summary>
    public InvalidOpcodeException()
    {
    }

    /// <summary>Creates the exception with the instruction's name.</summary>
    public InvalidOpcodeException(string message) : base(message)
    {
    }

    /// <summary>Creates the exception with a text and a cause.</summary>
    public InvalidOpcodeException(string message, Exception innerException) : base(message, innerException)
    {
    }
}
