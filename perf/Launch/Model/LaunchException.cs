namespace VmShunt.Perf.Launch;

/// <summary>The launch failed. The message tells the user what to do.</summary>
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
