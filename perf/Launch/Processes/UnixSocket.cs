namespace VmShunt.Perf.Launch;

/// <summary>Unix sockets of other processes.</summary>
internal static class UnixSocket
{
    private const string AcceptsConnections = "00010000", Stream = "0001", Unconnected = "01";

    /// <summary>
    /// Whether a process listens at the path. A file that exists does not show it: bind(2) makes the file, and until listen(2) a
    /// connection is refused. Does not connect, since some servers serve one connection only.
    /// </summary>
    /// <param name="path">The path that the process bound the socket to.</param>
    internal static bool IsListening(string path)
    {
        // proc_pid_net(5): number, reference count, protocol, flags, type, state, inode, path.
        foreach (var line in File.ReadLines("/proc/net/unix"))
        {
            var parts = line.Split(' ', 8, StringSplitOptions.RemoveEmptyEntries);
            if (parts is [_, _, _, AcceptsConnections, Stream, Unconnected, _, var bound] && bound == path) return true;
        }
        return false;
    }
}
