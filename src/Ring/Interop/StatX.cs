using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Ring.Interop;

/// <summary>The fields of <c>struct statx</c> (statx(2)) that are used.</summary>
[StructLayout(LayoutKind.Explicit, Size = 256)]
internal struct StatX
{
    internal const int BytesPerBlock = 512;
    internal const uint STATX_TYPE = 1, STATX_INO = 0x100, STATX_SIZE = 0x200, STATX_BLOCKS = 0x400, STATX_DIOALIGN = 0x2000;

    private const int AT_EMPTY_PATH = 0x1000, AT_SYMLINK_NOFOLLOW = 0x100, AT_FDCWD = -100, S_IFMT = 0xF000, S_IFSOCK = 0xC000;

    [FieldOffset(0)] public uint Mask;
    [FieldOffset(4)] public uint BlockSize;
    [FieldOffset(28)] public ushort Mode;
    [FieldOffset(32)] public ulong Inode;
    [FieldOffset(40)] public ulong Size;
    [FieldOffset(48)] public ulong Blocks;
    [FieldOffset(136)] public ulong Device;
    [FieldOffset(152)] public uint DirectMemoryAlign;
    [FieldOffset(156)] public uint DirectOffsetAlign;

    /// <summary>Whether a path, or what a symbolic link there names, is a socket.</summary>
    internal static bool IsSocket(string path)
    {
        using var folder = new SafeFileHandle(AT_FDCWD, ownsHandle: false);
        return Libc.StatX(folder, path, 0, STATX_TYPE, out var status) == 0 && (status.Mode & S_IFMT) == S_IFSOCK;
    }

    /// <summary>The file of a path, not what a symbolic link names.</summary>
    internal static bool TryGet(string path, uint mask, out StatX status)
    {
        using var folder = new SafeFileHandle(AT_FDCWD, ownsHandle: false);
        return Libc.StatX(folder, path, AT_SYMLINK_NOFOLLOW, mask, out status) == 0;
    }

    internal static bool TryGet(SafeFileHandle file, uint mask, out StatX status) => Libc.StatX(file, "", AT_EMPTY_PATH, mask, out status) == 0;
}
