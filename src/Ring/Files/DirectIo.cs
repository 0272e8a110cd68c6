using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Files;

/// <summary>The alignment that a file opened for direct I/O (<c>O_DIRECT</c>, past the page cache) requires of a request.</summary>
/// <param name="MemoryAlignment">Every piece of memory starts at a multiple of this, in bytes.</param>
/// <param name="BlockBytes">The offset and every length are multiples of this.</param>
public readonly record struct DirectIo(int MemoryAlignment, int BlockBytes)
{
    // Enough for every file system and device, where the kernel does not report the alignment.
    private const int Safe = 4096;

    private const int F_GETFL = 3, F_SETFL = 4;

    // O_DIRECT differs between architectures.
    private static readonly int s_direct =
        RuntimeInformation.ProcessArchitecture is Architecture.Arm or Architecture.Arm64 ? 0x10000 : 0x4000;

    /// <summary>Switches an open file to direct I/O.</summary>
    /// <returns>False when its file system does not support it.</returns>
    public static bool TryEnable(SafeFileHandle file, out DirectIo direct)
    {
        direct = default;
        var flags = Libc.Fcntl(file, F_GETFL, 0);
        if (flags < 0 || Libc.Fcntl(file, F_SETFL, flags | s_direct) < 0) return false;
        direct = Alignment(file);
        if (direct.BlockBytes != 0) return true;
        // The file system supports it, but not for this file, which is encrypted or compressed for example.
        _ = Libc.Fcntl(file, F_SETFL, flags);
        return false;
    }

    private static DirectIo Alignment(SafeFileHandle file)
    {
        if (StatX.TryGet(file, StatX.STATX_DIOALIGN, out var status) && (status.Mask & StatX.STATX_DIOALIGN) != 0)
            return new DirectIo((int)status.DirectMemoryAlign, (int)status.DirectOffsetAlign);
        var block = 0;
        return Libc.Ioctl(file, Libc.BLKSSZGET, ref block) == 0 ? new DirectIo(block, block) : new DirectIo(Safe, Safe);
    }
}
