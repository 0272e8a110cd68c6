using System.Net;
using VmShunt.BlockBackend;
using VmShunt.Sandbox;

namespace VmShunt.HostPartition;

/// <summary>What VM-H's options say that it needs of the system: its disk, its sockets and its files.</summary>
internal static class HostNeeds
{
    private const string Connecting = "connect:", Passed = "fd:";
    private const int NameServerPort = 53;

    /// <summary>Reads them from the options.</summary>
    /// <exception cref="FormatException">The disk's NBD URI is invalid.</exception>
    internal static SandboxNeeds Of(HostOptions options)
    {
        var disk = DiskNeeds.Of(options.Disk);
        List<(string, PathRights)> paths = [];
        List<int> ports = [];
        string[] sockets = [.. new[] { options.VhostUser, options.VfioUser }.OfType<string>()];
        foreach (var path in sockets.Where(static address => !address.StartsWith(Connecting, StringComparison.Ordinal) && !address.StartsWith(Passed, StringComparison.Ordinal)))
            paths.Add((FolderOf(path), PathRights.SocketFolder));
        if (options.PidFile is { } pidFile) paths.Add((FolderOf(pidFile), PathRights.FileFolder));
        if (disk.IsFile) paths.Add((options.Disk, options.ReadOnly ? PathRights.Disk & ~PathRights.WriteFile : PathRights.Disk));
        if (disk.Certificates is { } folder) paths.Add((folder, PathRights.Read));
        var server = disk.Server as DnsEndPoint;
        if (server is not null) ports.Add(server.Port);
        // For answers that do not fit a datagram.
        if (server is not null && Uri.CheckHostName(server.Host) == UriHostNameType.Dns) ports.Add(NameServerPort);
        return new SandboxNeeds(paths, ports)
        {
            Connects = disk.Server is not null || sockets.Any(static address => address.StartsWith(Connecting, StringComparison.Ordinal)),
            UsesNetwork = server is not null,
            UsesTls = disk.IsEncrypted,
            UsesUring = disk.IsFile && options.Engine is DiskEngine.Uring or DiskEngine.Auto,
        };
    }

    private static string FolderOf(string path) => Path.GetDirectoryName(path) is { Length: > 0 } folder ? folder : ".";
}
