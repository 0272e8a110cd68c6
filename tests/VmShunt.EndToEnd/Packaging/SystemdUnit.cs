using System.Text.RegularExpressions;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Packaging;

/// <summary>
/// A systemd unit of the package, for one instance, and its service started as systemd would start it, as far as that goes without
/// systemd: the command line with specifiers and variables expanded (systemd.service(5)), its runtime folder, umask and
/// no_new_privs, and its view of the file system.
/// </summary>
internal sealed partial class SystemdUnit
{
    // What only systemd does, or only the machine's root: seccomp filters, cgroups, restarts, a higher limit of files.
    private static readonly string[] s_notExpressed =
    [
        "Type", "Restart", "ExecReload", "LimitNOFILE", "LockPersonality", "ProtectControlGroups", "ProtectKernelModules", "ProtectKernelTunables",
        "RestrictAddressFamilies", "RestrictNamespaces", "RestrictSUIDSGID", "SystemCallArchitectures", "SystemCallFilter", "SystemCallErrorNumber",
    ];

    private static readonly string[] s_expressed =
        ["EnvironmentFile", "RuntimeDirectory", "UMask", "ExecStart", "NoNewPrivileges", "PrivateTmp", "ProtectSystem", "ProtectHome"];

    private readonly DebianPackage _package;
    private readonly string _instance;
    private readonly Dictionary<string, string> _service;

    private SystemdUnit(DebianPackage package, string instance, Dictionary<string, string> service)
    {
        _package = package;
        _instance = instance;
        _service = service;
    }

    /// <summary>Reads the unit.</summary>
    /// <param name="package">The installed package.</param>
    /// <param name="name">The unit's name before the @.</param>
    /// <param name="instance">What stands between @ and .service.</param>
    internal static SystemdUnit Read(DebianPackage package, string name, string instance)
    {
        var service = File.ReadLines(package[$"usr/lib/systemd/system/{name}@.service"])
            .SkipWhile(static line => line != "[Service]").Skip(1)
            .TakeWhile(static line => !line.StartsWith('['))
            .Where(static line => line.Contains('=', StringComparison.Ordinal) && !line.StartsWith('#'))
            .Select(static line => line.Split('=', 2))
            .ToDictionary(static pair => pair[0], pair => pair[1].Replace("%i", instance, StringComparison.Ordinal));
        // A new setting gets its place in one of the two lists.
        Assert.Equal([], service.Keys.Except(s_expressed).Except(s_notExpressed));
        return new SystemdUnit(package, instance, service);
    }

    /// <summary>A setting of the section [Service].</summary>
    internal string this[string setting] => _service[setting];

    /// <summary>The command of ExecStart.</summary>
    internal IReadOnlyList<string> Command()
    {
        var variables = Environment().Select(static line => line.Split('=', 2)).ToDictionary(static pair => pair[0], static pair => pair[1]);
        var words = new List<string>();
        foreach (var word in _service["ExecStart"].Split(' '))
        {
            // $NAME is split into words, ${NAME} is not.
            if (WholeVariable().Match(word) is { Success: true } whole) words.AddRange(variables[whole.Groups[1].Value].Split(' ', StringSplitOptions.RemoveEmptyEntries));
            else words.Add(InnerVariable().Replace(word, match => variables[match.Groups[1].Value]));
        }
        return words;
    }

    /// <summary>Starts the service; the program has printed its ready line.</summary>
    internal Task<ChildProcess> StartAsync()
    {
        var runtime = _package[$"run/{_service["RuntimeDirectory"]}"];
        Directory.CreateDirectory(runtime);
        Directory.CreateDirectory(_package["tmp"]);
        Assert.Equal("yes", _service["NoNewPrivileges"]);
        Assert.Equal("yes", _service["PrivateTmp"]);
        var root = _package[""].TrimEnd('/');
        // full: /usr, /boot and /etc are read-only; strict: everything but the service's own folders.
        var prepare = _service["ProtectSystem"] switch
        {
            "full" => $"{Bound($"{root}/usr")} && {Bound($"{root}/etc")} && {ReadOnly($"{root}/usr")} && {ReadOnly($"{root}/etc")}",
            "strict" => $"{Bound(root)} && {Bound(runtime)} && {ReadOnly(root)}",
            var other => throw new NotSupportedException($"ProtectSystem={other}"),
        };
        prepare += $" && mount -t tmpfs none '{root}/tmp' && umask {_service["UMask"]}";
        return Programs.ReadyAsync(_package.Start(prepare, Environment(), [Installed.Require("setpriv"), "--no-new-privs"], Command()));
    }

    private static string Bound(string folder) => $"mount --bind '{folder}' '{folder}'";

    private static string ReadOnly(string folder) => $"mount -o remount,bind,ro '{folder}'";

    private List<string> Environment() => _service.TryGetValue("EnvironmentFile", out var file)
        ? [.. File.ReadLines(_package[file[1..]]).Where(static line => line.Contains('=', StringComparison.Ordinal) && !line.StartsWith('#'))]
        : [];

    [GeneratedRegex(@"^\$([A-Z_]+)$")]
    private static partial Regex WholeVariable();

    [GeneratedRegex(@"\$\{([A-Z_]+)\}")]
    private static partial Regex InnerVariable();
}
