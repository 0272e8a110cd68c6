using System.Runtime.CompilerServices;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Ring.Interop;

/// <summary>The kernel's <c>struct statx</c>, as far as it is needed: offsets of its fields.</summary>
internal static unsafe class StatX
{
    internal const int Bytes = 256;
    internal const int Mask = 0, BlockSize = 4, Size = 40, Blocks = 48, DirectMemoryAlign = 152, DirectOffsetAlign = 156;
    internal const int BytesPerBlock = 512;
    internal const uint STATX_SIZE = 0x200, STATX_BLOCKS = 0x400, STATX_DIOALIGN = 0x2000;

    private const int AT_EMPTY_PATH = 0x1000;

    /// <summary>Fills <see cref="Bytes"/> bytes.</summary>
    internal static bool TryGet(SafeFileHandle file, uint mask, byte* status) => Libc.StatX(file, "", AT_EMPTY_PATH, mask, status) == 0;

    internal static uint Field(byte* status, int offset) => Unsafe.ReadUnaligned<uint>(status + offset);

    internal static ulong LongField(byte* status, int offset) => Unsafe.ReadUnaligned<ulong>(status + offset);
}
