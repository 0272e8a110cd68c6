using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace VmShunt.Sandbox;

/// <summary>Gives the privileges of the calling thread up, for the program that it executes next (capabilities(7)).</summary>
internal static class Privileges
{
    private const nint PR_CAPBSET_DROP = 24, PR_SET_SECUREBITS = 28, PR_SET_NO_NEW_PRIVS = 38, PR_GET_NO_NEW_PRIVS = 39, PR_CAP_AMBIENT = 47, PR_CAP_AMBIENT_CLEAR_ALL = 4;

    // SECBIT_NOROOT and SECBIT_NO_CAP_AMBIENT_RAISE, each with its lock.
    private const nint SecureBits = 0x3 | 0xC0;

    private const uint CapabilityVersion3 = 0x2008_0522;
    private const int Capabilities = 64;

    // struct passwd of glibc on x86-64: two pointers precede pw_uid and pw_gid.
    private const int UserAt = 16, GroupAt = 20;

    /// <summary>Whether this thread, and what it executes, can gain no privileges (prctl(2)).</summary>
    internal static bool AreFinal => LinuxCall.Make(LinuxCall.Prctl, PR_GET_NO_NEW_PRIVS) == 1;

    /// <summary>Forbids the calling thread, and what it executes, to gain privileges; a seccomp filter takes it, or CAP_SYS_ADMIN.</summary>
    internal static void MakeFinal()
    {
        if (LinuxCall.Make(LinuxCall.Prctl, PR_SET_NO_NEW_PRIVS, 1) != 0) throw LinuxCall.Failure("--sandbox: PR_SET_NO_NEW_PRIVS");
    }

    /// <summary>Sets every capability of the calling thread, permitted, effective and inheritable (capset(2)).</summary>
    /// <param name="bits">0: none; 0xFF: all.</param>
    /// <returns>−1 where the kernel refuses.</returns>
    internal static nint SetCapabilities(byte bits)
    {
        var header = new byte[8];
        BinaryPrimitives.WriteUInt32LittleEndian(header, CapabilityVersion3);
        var data = new byte[24];
        data.AsSpan().Fill(bits);
        return LinuxCall.Make(LinuxCall.CapSet, header, data);
    }

    /// <summary>The user and group of a name.</summary>
    /// <exception cref="IOException">There is no such user.</exception>
    internal static (int User, int Group) Find(string name)
    {
        var entry = LinuxCall.GetPwNam(LinuxCall.Text(name));
        return entry != 0
            ? (Marshal.ReadInt32(entry, UserAt), Marshal.ReadInt32(entry, GroupAt))
            : throw new IOException($"--user {name}: there is no user of that name; see getent passwd");
    }

    /// <summary>Drops all capabilities and supplementary groups, takes another user's rights, and forbids to gain any.</summary>
    /// <exception cref="IOException">The kernel refused.</exception>
    internal static void GiveUp(string? user)
    {
        var rights = user is null ? default((int User, int Group)?) : Find(user);
        MakeFinal();
        // These take CAP_SETPCAP: a process without it has little to lose, and with no_new_privs gains nothing.
        for (nint capability = 0; capability < Capabilities; capability++) _ = LinuxCall.Make(LinuxCall.Prctl, PR_CAPBSET_DROP, capability);
        _ = LinuxCall.Make(LinuxCall.Prctl, PR_SET_SECUREBITS, SecureBits);
        _ = LinuxCall.Make(LinuxCall.Prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
        // Without CAP_SETGID the groups stay, which are the starting user's.
        if (LinuxCall.Make(LinuxCall.SetGroups) != 0 && LinuxCall.LastError != LinuxCall.EPERM) throw LinuxCall.Failure("--sandbox on: dropping the supplementary groups");
        if (rights is { } own && (LinuxCall.Make(LinuxCall.SetResGid, own.Group, own.Group, own.Group) != 0 || LinuxCall.Make(LinuxCall.SetResUid, own.User, own.User, own.User) != 0))
            throw LinuxCall.Failure($"--user {user}: only root can take another user's rights; start as root, or without --user");
        if (SetCapabilities(0) != 0) throw LinuxCall.Failure("--sandbox on: dropping the capabilities");
    }
}
