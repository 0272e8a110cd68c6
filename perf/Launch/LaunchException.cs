namespace VmShunt.Perf.Launch;

/// <summary>The launch cannot go on; the message is for the person who started it.</summary>
internal sealed class LaunchException : Exception
{
    internal LaunchException(string message)
        : base(message)
    {
    }

    internal LaunchException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
