namespace VmShunt.Terminal;

/// <summary>A line on standard output, which may be closed or full.</summary>
public static class OutputLine
{
    /// <summary>Writes a line; blocks while its reader does not read.</summary>
    /// <exception cref="IOException">Standard output cannot be written; the message says why.</exception>
    public static void Write(string line)
    {
        if (!StandardStream.TryWriteLine(StandardStream.Output, line, out var why)) throw new IOException($"standard output cannot be written: {why}");
    }
}
