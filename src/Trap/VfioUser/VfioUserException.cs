namespace VmShunt.Trap.VfioUser;

/// <summary>The server answered a request with an error reply. The connection stays usable.</summary>
public sealed class VfioUserException : IOException
{
    /// <summary>Creates it with no text.</summary>
    public VfioUserException()
    {
    }

    /// <summary>Creates it with a text.</summary>
    public VfioUserException(string message) : base(message)
    {
    }

    /// <summary>Creates it with a text and a cause.</summary>
    public VfioUserException(string message, Exception innerException) : base(message, innerException)
    {
    }

    internal VfioUserException(string message, int errno) : base(message) => Errno = errno;

    /// <summary>The errno value of the reply.</summary>
    public int Errno { get; }
}
