namespace VmShunt.Terminal;

/// <summary>A line on standard output, which may be closed or full.</summary>
public static class OutputLine
{
    /// <summary>Writes a line.</summary>
    /// <exception cref="IOException">Standard output cannot be written; the message says why.</exception>
    public static void Write(string line)
    {
        try
        {
            Console.Out.WriteLine(line);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ObjectDisposedException)
        {
            throw new IOException($"standard output cannot be written: {(e is UnauthorizedAccessException ? "it is closed" : e.Message)}", e);
        }
    }
}
