using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Files;

/// <summary>Whether a file can be read and written past the page cache (<c>O_DIRECT</c>), and what that asks of a request.</summary>
/// <param name="MemoryAlignment">What every piece of memory must start at a multiple of, in bytes.</param>
/// <param name="BlockBytes">What the offset and every length must be a multiple of.</param>
public readonly record struct DirectIo(int MemoryAlignment, int BlockBytes)
{
    // What every file system and device is content with, where the kernel does not say.
    private const int Safe = 4096;

    private const int F_GETFL = 3, F_SETFL = 4;

    // One of the few flags that differ between architectures.
    private static readonly int s_direct =
        RuntimeInformation.ProcessArchitecture is Architecture.Arm or Architecture.Arm64 ? 0x10000 : 0x4000;

    /// <summary>Switches an open file over.</summary>
    /// <returns>False when its file system cannot.</returns>
    public static bool TryEnable(SafeFileHandle file, out DirectIo direct)
    {
        direct = default;
        var flags = Libc.Fcntl(file, F_GETFL, 0);
        if (flags < 0 || Libc.Fcntl(file, F_SETFL, flags | s_direct) < 0) return false;
        direct = Alignment(file);
        if (direct.BlockBytes != 0) return true;
        // The file system can, but not on this file: one that it encrypts or compresses, for example.
        _ = Libc.Fcntl(file, F_SETFL, flags);
        return false;
    }

    private static unsafe DirectIo Alignment(SafeFileHandle file)
    {
        var status = stackalloc byte[StatX.Bytes];
        if (StatX.TryGet(file, StatX.STATX_DIOALIGN, status) && (StatX.Field(status, StatX.Mask) & StatX.STATX_DIOALIGN) != 0)
            return new DirectIo((int)StatX.Field(status, StatX.DirectMemoryAlign), (int)StatX.Field(status, StatX.DirectOffsetAlign));
        int block;
        return Libc.Ioctl(file, Libc.BLKSSZGET, &block) == 0 ? new DirectIo(block, block) : new DirectIo(Safe, Safe);
    }
}
