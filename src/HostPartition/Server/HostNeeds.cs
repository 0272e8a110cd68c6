using VmShunt.BlockBackend;
using VmShunt.Sandbox;

namespace VmShunt.HostPartition;

/// <summary>What VM-H's options say that it needs of the system: its disk, its sockets and its files.</summary>
internal static class HostNeeds
{
    private const string Connecting = "connect:", Passed = "fd:";
    private const int NbdPort = 10809, NameServerPort = 53;

    /// <summary>Reads them from the options.</summary>
    internal static SandboxNeeds Of(HostOptions options)
    {
        List<(string, PathRights)> paths = [];
        List<int> ports = [];
        string[] sockets = [.. new[] { options.VhostUser, options.VfioUser }.OfType<string>()];
        foreach (var path in sockets.Where(static address => !address.StartsWith(Connecting, StringComparison.Ordinal) && !address.StartsWith(Passed, StringComparison.Ordinal)))
            paths.Add((FolderOf(path), PathRights.SocketFolder));
        if (options.PidFile is { } pidFile) paths.Add((FolderOf(pidFile), PathRights.FileFolder));
        var isRemote = options.Disk.StartsWith("nbd", StringComparison.Ordinal) && Uri.TryCreate(options.Disk, UriKind.Absolute, out var uri) && uri.Scheme.StartsWith("nbd", StringComparison.Ordinal);
        var isFile = !isRemote && !options.Disk.StartsWith("memory:", StringComparison.Ordinal) && !options.Disk.StartsWith("null:", StringComparison.Ordinal);
        if (isFile) paths.Add((options.Disk, options.ReadOnly ? PathRights.Disk & ~PathRights.WriteFile : PathRights.Disk));
        var usesNetwork = isRemote && AddRemote(new Uri(options.Disk), paths, ports);
        return new SandboxNeeds(paths, ports)
        {
            Connects = isRemote || sockets.Any(static address => address.StartsWith(Connecting, StringComparison.Ordinal)),
            UsesNetwork = usesNetwork,
            UsesTls = options.Disk.StartsWith("nbds", StringComparison.Ordinal) && isRemote,
            UsesUring = isFile && options.Engine is DiskEngine.Uring or DiskEngine.Auto,
        };
    }

    // True: over TCP.
    private static bool AddRemote(Uri uri, List<(string, PathRights)> paths, List<int> ports)
    {
        foreach (var part in uri.Query.TrimStart('?').Split('&'))
            if (part.Split('=', 2) is ["tls-certificates", var folder]) paths.Add((Uri.UnescapeDataString(folder), PathRights.Read));
        if (uri.Scheme.EndsWith("+unix", StringComparison.Ordinal)) return false;
        ports.Add(uri.Port > 0 ? uri.Port : NbdPort);
        // For answers that do not fit a datagram.
        if (uri.HostNameType == UriHostNameType.Dns) ports.Add(NameServerPort);
        return true;
    }

    private static string FolderOf(string path) => Path.GetDirectoryName(path) is { Length: > 0 } folder ? folder : ".";
}
