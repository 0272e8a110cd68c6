namespace VmShunt.Terminal;

/// <summary>A line on standard error that its reader may not hold up: without one that reads, the line is lost. Any thread.</summary>
public static class ErrorLine
{
    // Longer than a reader on a busy machine takes, shorter than a user waits for a process to exit.
    private const int LongestWaitMilliseconds = 1000;

    /// <summary>Writes a line. Does not throw.</summary>
    public static void Write(string line)
    {
        var writing = new Thread(() => _ = StandardStream.TryWriteLine(StandardStream.Error, line, out _)) { IsBackground = true, Name = "error line" };
        try
        {
            writing.Start();
            writing.Join(LongestWaitMilliseconds);
        }
        catch (OutOfMemoryException)
        {
            // No thread is available.
        }
    }
}
