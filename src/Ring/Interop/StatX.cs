using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Ring.Interop;

/// <summary>The fields of <c>struct statx</c> (statx(2)) that are used.</summary>
[StructLayout(LayoutKind.Explicit, Size = 256)]
internal struct StatX
{
    internal const int BytesPerBlock = 512;
    internal const uint STATX_SIZE = 0x200, STATX_BLOCKS = 0x400, STATX_DIOALIGN = 0x2000;

    private const int AT_EMPTY_PATH = 0x1000;

    [FieldOffset(0)] public uint Mask;
    [FieldOffset(4)] public uint BlockSize;
    [FieldOffset(40)] public ulong Size;
    [FieldOffset(48)] public ulong Blocks;
    [FieldOffset(152)] public uint DirectMemoryAlign;
    [FieldOffset(156)] public uint DirectOffsetAlign;

    internal static bool TryGet(SafeFileHandle file, uint mask, out StatX status) => Libc.StatX(file, "", AT_EMPTY_PATH, mask, out status) == 0;
}
