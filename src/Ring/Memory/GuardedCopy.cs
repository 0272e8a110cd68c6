using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Memory;

/// <summary>
/// Copies that survive a page that cannot be accessed: when a mapped file was truncated, or its device fails to read, the
/// access raises SIGBUS. A copy here then fails, and the process continues. Any thread.
/// </summary>
/// <remarks>
/// A handler in C# would not be safe, because the runtime may be in any state when a signal arrives. So the copies and the
/// handler are machine code. If the signal came from one of the copies, the handler resumes at its failure exit; otherwise
/// it jumps to the previous handler, which is the runtime's. Neither uses anything managed.
/// </remarks>
internal static unsafe class GuardedCopy
{
    private const int Ahead = 0x10, Handler = 0x50, Previous = 0x90, LineBytes = 64;

    private static readonly delegate* unmanaged<byte*, byte*, nuint, byte*, int> s_copy = Install();

    /// <summary>True on Linux on x86-64, where the system allows the process to map code.</summary>
    internal static bool IsSupported => s_copy != null;

    /// <summary>What callers throw when a copy fails.</summary>
    internal static IOException Failure() => new("a page of the memory cannot be accessed: the file behind it was truncated, or its device failed");

    /// <summary>Copies bytes; only where <see cref="IsSupported"/>.</summary>
    /// <returns>False when a page cannot be accessed; a part may be copied.</returns>
    internal static bool TryCopy(Span<byte> target, ReadOnlySpan<byte> source)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(target.Length, source.Length, nameof(target));
        fixed (byte* to = target, from = source) return s_copy(to, from, (nuint)source.Length, null) == 0;
    }

    /// <inheritdoc cref="TryCopy(Span{byte}, ReadOnlySpan{byte})"/>
    internal static bool TryCopy(nint target, nint source, nuint bytes) => s_copy((byte*)target, (byte*)source, bytes, null) == 0;

    /// <summary>
    /// Copies bytes and prefetches as many from <paramref name="next"/>, a line after each line, so that memory serves both
    /// at the same time. Only where <see cref="IsSupported"/>.
    /// </summary>
    /// <returns>False when a page of the copy cannot be accessed; a failed prefetch has no effect.</returns>
    internal static bool TryCopy(nint target, nint source, nuint bytes, nint next)
    {
        var lines = bytes / LineBytes;
        if (lines == 0 || !Avx.IsSupported) return TryCopy(target, source, bytes);
        var ahead = (delegate* unmanaged<byte*, byte*, nuint, byte*, int>)((byte*)s_copy + Ahead);
        if (ahead((byte*)target, (byte*)source, lines, (byte*)next) != 0) return false;
        var copied = lines * LineBytes;
        return copied == bytes || TryCopy(target + (nint)copied, source + (nint)copied, bytes - copied);
    }

    // System V AMD64: the arguments are in rdi, rsi, rdx, rcx; the handler's are the signal, siginfo and ucontext.
    private static ReadOnlySpan<byte> Code =>
    [
        0x48, 0x89, 0xD1,                          // 00  copy:    mov  rcx, rdx
        0xF3, 0xA4,                                // 03  moving:  rep movsb
        0x31, 0xC0,                                // 05           xor  eax, eax
        0xC3,                                      // 07           ret
        0xB8, 0x01, 0x00, 0x00, 0x00,              // 08  failed:  mov  eax, 1
        0xC3,                                      // 0D           ret
        0x66, 0x90,
        0x0F, 0x18, 0x09,                          // 10  ahead:   prefetcht0 [rcx]
        0xC5, 0xFE, 0x6F, 0x06,                    // 13           vmovdqu ymm0, [rsi]
        0xC5, 0xFE, 0x6F, 0x4E, 0x20,              // 17           vmovdqu ymm1, [rsi + 32]
        0xC5, 0xFE, 0x7F, 0x07,                    // 1C           vmovdqu [rdi], ymm0
        0xC5, 0xFE, 0x7F, 0x4F, 0x20,              // 20           vmovdqu [rdi + 32], ymm1
        0x48, 0x83, 0xC6, 0x40,                    // 25           add  rsi, 64
        0x48, 0x83, 0xC7, 0x40,                    // 29           add  rdi, 64
        0x48, 0x83, 0xC1, 0x40,                    // 2D           add  rcx, 64
        0x48, 0xFF, 0xCA,                          // 31           dec  rdx
        0x75, 0xDA,                                // 34           jnz  ahead
        0xC5, 0xF8, 0x77,                          // 36           vzeroupper
        0x31, 0xC0,                                // 39           xor  eax, eax
        0xC3,                                      // 3B           ret
        0xC5, 0xF8, 0x77,                          // 3C  stopped: vzeroupper
        0xB8, 0x01, 0x00, 0x00, 0x00,              // 3F           mov  eax, 1
        0xC3,                                      // 44           ret
        0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
        0x48, 0x8B, 0x82, 0xA8, 0x00, 0x00, 0x00,  // 50  handler: mov  rax, [rdx + 168]   uc_mcontext.gregs[REG_RIP]
        0x48, 0x8D, 0x0D, 0xA5, 0xFF, 0xFF, 0xFF,  // 57           lea  rcx, [moving]
        0x4C, 0x8D, 0x05, 0xA3, 0xFF, 0xFF, 0xFF,  // 5E           lea  r8, [failed]
        0x48, 0x39, 0xC8,                          // 65           cmp  rax, rcx
        0x74, 0x17,                                // 68           je   resume
        0x48, 0x8D, 0x0D, 0x9F, 0xFF, 0xFF, 0xFF,  // 6A           lea  rcx, [ahead]
        0x4C, 0x8D, 0x05, 0xC4, 0xFF, 0xFF, 0xFF,  // 71           lea  r8, [stopped]
        0x48, 0x29, 0xC8,                          // 78           sub  rax, rcx
        0x48, 0x83, 0xF8, 0x23,                    // 7B           cmp  rax, 0x23          the loop accesses memory only before this offset
        0x77, 0x08,                                // 7F           ja   pass
        0x4C, 0x89, 0x82, 0xA8, 0x00, 0x00, 0x00,  // 81  resume:  mov  [rdx + 168], r8
        0xC3,                                      // 88           ret
        0xFF, 0x25, 0x01, 0x00, 0x00, 0x00,        // 89  pass:    jmp  [previous]
        0x90,
    ];

    /// <summary><c>struct sigaction</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct SignalAction
    {
        public nint Handler;
        public fixed ulong Mask[16];
        public int Flags;
        public nint Restorer;
    }

    private static delegate* unmanaged<byte*, byte*, nuint, byte*, int> Install()
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64) return null;
        SignalAction action;
        if (Libc.SigAction(Libc.SIGBUS, 0, (nint)(&action)) != 0 || action.Handler is Libc.SIG_DFL or Libc.SIG_IGN) return null;
        var bytes = (nuint)Environment.SystemPageSize;
        var page = Mapping.TryCreate(bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS);
        if (page is null) return null;
        var code = page.Window.Span;
        Code.CopyTo(code);
        BinaryPrimitives.WriteInt64LittleEndian(code[Previous..], action.Handler);
        action.Handler = page.Start + Handler;
        // Never writable and executable at once. The page stays mapped as long as the process lives.
        if (Libc.MProtect(page.Start, bytes, Libc.PROT_READ | Libc.PROT_EXEC) == 0 && Libc.SigAction(Libc.SIGBUS, (nint)(&action), 0) == 0)
            return (delegate* unmanaged<byte*, byte*, nuint, byte*, int>)page.Start;
        page.Dispose();
        return null;
    }
}
