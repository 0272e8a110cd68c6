namespace VmShunt.Trap.VmExit;

/// <summary>
/// The hypervisor could not carry out an access and raised a machine check. The message is the hypervisor's text.
/// </summary>
public sealed class MachineCheckException : IOException
{
    /// <summary>Creates it with no text.</summary>
    public MachineCheckException()
    {
    }

    /// <summary>Creates it with the hypervisor's text.</summary>
    public MachineCheckException(string message) : base(message)
    {
    }

    /// <summary>Creates it with a text and a cause.</summary>
    public MachineCheckException(string message, Exception innerException) : base(message, innerException)
    {
    }

    internal MachineCheckException(string message, FaultCode code) : base(message) => Code = code;

    /// <summary>The cause.</summary>
    public FaultCode Code { get; }
}

/// <summary>The hypervisor has disconnected or stopped this processor, which never runs again.</summary>
public sealed class HypervisorLostException : IOException
{
    /// <summary>Creates it with no text.</summary>
    public HypervisorLostException()
    {
    }

    /// <summary>Creates it with a text.</summary>
    public HypervisorLostException(string message) : base(message)
    {
    }

    /// <summary>Creates it with a text and a cause.</summary>
    public HypervisorLostException(string message, Exception innerException) : base(message, innerException)
    {
    }
}
