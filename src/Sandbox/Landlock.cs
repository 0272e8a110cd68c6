using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Sandbox;

/// <summary>
/// A set of Landlock rules (landlock(7)): a thread that it restricts opens, makes and removes only what a rule names, for good.
/// Rights that the kernel's version does not know are left out.
/// </summary>
internal sealed class Landlock : IDisposable
{
    private const int FirstWithRefer = 2, FirstWithTruncate = 3, FirstWithPorts = 4, FirstWithIoctl = 5, FirstWithScopes = 6;
    private const nint VersionFlag = 1, PathBeneath = 1, NetPort = 2;
    private const ulong BindTcp = 1, ConnectTcp = 2, AbstractSockets = 1, Signals = 2;
    private const ulong FirstVersionRights = (1 << 13) - 1, Refer = 1 << 13;
    private const nint AT_FDCWD = -100, O_PATH = 0x20_0000, O_CLOEXEC = 0x8_0000;

    private readonly SafeFileHandle _rules;
    private readonly int _version;
    private readonly ulong _handled;

    private Landlock(SafeFileHandle rules, int version, ulong handled) => (_rules, _version, _handled) = (rules, version, handled);

    /// <summary>The version of the kernel's interface; 0: it has none, or none that is enabled.</summary>
    internal static int Version => Math.Max(0, (int)LinuxCall.Make(LinuxCall.LandlockCreateRuleset, 0, 0, VersionFlag));

    /// <summary>Creates a set without rules.</summary>
    /// <param name="keepsAbstractSockets">Abstract Unix sockets of other processes stay reachable.</param>
    /// <returns>Null where the kernel has no Landlock.</returns>
    /// <exception cref="IOException">The kernel refused.</exception>
    internal static Landlock? TryCreate(bool keepsAbstractSockets)
    {
        var version = Version;
        if (version == 0) return null;
        var handled = HandledRights(version);
        var attributes = new byte[version >= FirstWithScopes ? 24 : version >= FirstWithPorts ? 16 : 8];
        BinaryPrimitives.WriteUInt64LittleEndian(attributes, handled);
        if (version >= FirstWithPorts) BinaryPrimitives.WriteUInt64LittleEndian(attributes.AsSpan(8), BindTcp | ConnectTcp);
        if (version >= FirstWithScopes) BinaryPrimitives.WriteUInt64LittleEndian(attributes.AsSpan(16), Signals | (keepsAbstractSockets ? 0 : AbstractSockets));
        var rules = LinuxCall.Make(LinuxCall.LandlockCreateRuleset, attributes, attributes.Length, 0);
        return rules >= 0 ? new Landlock(new SafeFileHandle(rules, ownsHandle: true), version, handled) : throw LinuxCall.Failure("--sandbox on: creating a Landlock rule set");
    }

    /// <summary>The rights that a version refuses unless a rule gives them.</summary>
    internal static ulong HandledRights(int version) =>
        FirstVersionRights
        | (version >= FirstWithRefer ? Refer : 0)
        | (version >= FirstWithTruncate ? (ulong)PathRights.Truncate : 0)
        | (version >= FirstWithIoctl ? (ulong)PathRights.DeviceIoctl : 0);

    /// <summary>Gives rights to a file, or to a folder and everything below it. A path that does not exist gives none.</summary>
    internal void Allow(string path, PathRights rights)
    {
        using var place = new SafeFileHandle(LinuxCall.Make(LinuxCall.OpenAt, AT_FDCWD, LinuxCall.Text(path), O_PATH | O_CLOEXEC), ownsHandle: true);
        if (place.IsInvalid) return;
        var allowed = (ulong)(Directory.Exists(path) ? rights : rights & PathRights.OfFiles) & _handled;
        // struct landlock_path_beneath_attr is packed.
        var rule = new byte[12];
        BinaryPrimitives.WriteUInt64LittleEndian(rule, allowed);
        BinaryPrimitives.WriteInt32LittleEndian(rule.AsSpan(8), (int)place.DangerousGetHandle());
        if (allowed != 0) Add(PathBeneath, rule, path);
    }

    /// <summary>Allows connections to a TCP port, of any host.</summary>
    internal void AllowConnect(int port)
    {
        if (_version < FirstWithPorts) return;
        var rule = new byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(rule, ConnectTcp);
        BinaryPrimitives.WriteUInt64LittleEndian(rule.AsSpan(8), (ulong)port);
        Add(NetPort, rule, $"port {port}");
    }

    /// <summary>Restricts the calling thread, which must have no way to new privileges, and the program that it executes.</summary>
    internal void RestrictThread()
    {
        if (LinuxCall.Make(LinuxCall.LandlockRestrictSelf, _rules.DangerousGetHandle()) != 0) throw LinuxCall.Failure("--sandbox on: restricting this process by Landlock");
    }

    public void Dispose() => _rules.Dispose();

    private void Add(nint type, byte[] rule, string what)
    {
        if (LinuxCall.Make(LinuxCall.LandlockAddRule, _rules.DangerousGetHandle(), type, rule, 0) != 0) throw LinuxCall.Failure($"--sandbox on: a Landlock rule for {what}");
    }
}
