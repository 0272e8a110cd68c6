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
/// handler are machine code. If the signal came from one of the copies, the handler resumes at its failure exit; if it came from
/// another access to shared memory, the access is repeated on private zeros (<see cref="FaultTable"/>); otherwise the handler
/// jumps to the previous one, which is the JIT runtime's. A native binary has none (SIG_DFL): there the handler
/// restores the default action and returns, so that the access is repeated and the signal ends the process as it would have
/// without this class; a signal that another process sent is sent again. Nothing here uses anything managed.
/// </remarks>
internal static unsafe class GuardedCopy
{
    private const int Ahead = 0x10, State = 0x45, Handler = 0x50, Previous = 0x90, Default = 0x98, Table = 0x188, LineBytes = 64;

    // The flags of the handler where there was none: the arguments of the code below, on an alternate stack if the thread has one.
    private const int DefaultFlags = Libc.SA_SIGINFO | Libc.SA_ONSTACK | Libc.SA_RESTART;

    // Install assigns it; it has no initializer, which would run later and clear it.
    private static string? s_refusal;
    private static Mapping? s_faults;
    private static readonly delegate* unmanaged<byte*, byte*, nuint, byte*, int> s_copy = Install();
    private static readonly bool s_hasAvx = HasAvx();

    /// <summary>True on Linux on x86-64, where the system allows the process to map code.</summary>
    internal static bool IsSupported => s_copy != null;

    /// <summary>Why it is not supported, to follow "because"; null if it is.</summary>
    internal static string? Refusal => s_refusal;

    /// <summary>The table of <see cref="FaultTable"/>, which the handler reads; null where there is none.</summary>
    internal static Mapping? Faults => s_faults;

    /// <summary>Whether copies can prefetch, which takes AVX.</summary>
    internal static bool CanPrefetch => s_hasAvx;

    /// <summary>What callers throw when a copy fails.</summary>
    internal static IOException Failure() => new("a page of the memory cannot be accessed: the file behind it was truncated, or its device failed", Libc.EFAULT);

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
        if (lines == 0 || !s_hasAvx) return TryCopy(target, source, bytes);
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
        0x31, 0xC9,                                // 45  state:   xor  ecx, ecx
        0x0F, 0x01, 0xD0,                          // 47           xgetbv                  XCR0, which the system sets
        0xC3,                                      // 4A           ret
        0x90, 0x90, 0x90, 0x90, 0x90,
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
        0xE9, 0x6A, 0x00, 0x00, 0x00,              // 89  pass:    jmp  zero
        0x66, 0x90,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // 90  previous
        0x44, 0x8B, 0x46, 0x08,                    // 98  default: mov  r8d, [rsi + 8]     si_code
        0x48, 0x8D, 0x35, 0x35, 0x00, 0x00, 0x00,  // 9C           lea  rsi, [action]
        0x31, 0xD2,                                // A3           xor  edx, edx
        0x41, 0xBA, 0x08, 0x00, 0x00, 0x00,        // A5           mov  r10d, 8            the kernel's sigset_t
        0xB8, 0x0D, 0x00, 0x00, 0x00,              // AB           mov  eax, 13            rt_sigaction(signal, action, NULL, 8)
        0x0F, 0x05,                                // B0           syscall
        0x45, 0x85, 0xC0,                          // B2           test r8d, r8d
        0x7F, 0x1B,                                // B5           jg   repeat             the kernel raised it: the access is repeated
        0xB8, 0x27, 0x00, 0x00, 0x00,              // B7           mov  eax, 39            getpid()
        0x0F, 0x05,                                // BC           syscall
        0x89, 0xFA,                                // BE           mov  edx, edi
        0x89, 0xC7,                                // C0           mov  edi, eax
        0xB8, 0xBA, 0x00, 0x00, 0x00,              // C2           mov  eax, 186           gettid()
        0x0F, 0x05,                                // C7           syscall
        0x89, 0xC6,                                // C9           mov  esi, eax
        0xB8, 0xEA, 0x00, 0x00, 0x00,              // CB           mov  eax, 234           tgkill(pid, tid, signal); blocked until the return
        0x0F, 0x05,                                // D0           syscall
        0xC3,                                      // D2  repeat:  ret
        0x90, 0x90, 0x90, 0x90, 0x90,
        // D8  action: the kernel's struct sigaction of 32 bytes, all zero: SIG_DFL
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x83, 0x7E, 0x08, 0x00,                    // F8  zero:    cmp  dword [rsi + 8], 0  si_code: not a signal that a process sent
        0x7E, 0x26,                                // FC           jle  hand
        0x48, 0x8B, 0x46, 0x10,                    // FE           mov  rax, [rsi + 16]     si_addr
        0x48, 0x8B, 0x0D, 0x7F, 0x00, 0x00, 0x00,  // 102          mov  rcx, [table]
        0x4C, 0x8D, 0x81, 0x00, 0x00, 0x01, 0x00,  // 109          lea  r8, [rcx + 0x10000]
        0x48, 0x3B, 0x01,                          // 110 next:    cmp  rax, [rcx]          its start
        0x72, 0x06,                                // 113          jb   skip
        0x48, 0x3B, 0x41, 0x08,                    // 115          cmp  rax, [rcx + 8]      its end
        0x72, 0x0F,                                // 119          jb   found
        0x48, 0x83, 0xC1, 0x20,                    // 11B skip:    add  rcx, 32
        0x4C, 0x39, 0xC1,                          // 11F          cmp  rcx, r8
        0x72, 0xEC,                                // 122          jb   next
        0xFF, 0x25, 0x66, 0xFF, 0xFF, 0xFF,        // 124 hand:    jmp  [previous]
        0x57,                                      // 12A found:   push rdi
        0x56,                                      // 12B          push rsi
        0x52,                                      // 12C          push rdx
        0x51,                                      // 12D          push rcx
        0x48, 0x8B, 0x71, 0x10,                    // 12E          mov  rsi, [rcx + 16]     its page size
        0x48, 0x89, 0xF7,                          // 132          mov  rdi, rsi
        0x48, 0xF7, 0xDF,                          // 135          neg  rdi
        0x48, 0x21, 0xC7,                          // 138          and  rdi, rax
        0xBA, 0x03, 0x00, 0x00, 0x00,              // 13B          mov  edx, 3              PROT_READ | PROT_WRITE
        0x41, 0xBA, 0x32, 0x00, 0x00, 0x00,        // 140          mov  r10d, 0x32          MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS
        0x49, 0xC7, 0xC0, 0xFF, 0xFF, 0xFF, 0xFF,  // 146          mov  r8, -1
        0x45, 0x31, 0xC9,                          // 14D          xor  r9d, r9d
        0xB8, 0x09, 0x00, 0x00, 0x00,              // 150          mov  eax, 9              mmap
        0x0F, 0x05,                                // 155          syscall
        0x48, 0x8B, 0x0C, 0x24,                    // 157          mov  rcx, [rsp]
        0x48, 0x3D, 0x01, 0xF0, 0xFF, 0xFF,        // 15B          cmp  rax, -4095
        0x73, 0x1C,                                // 161          jae  refused
        0xC7, 0x41, 0x1C, 0x01, 0x00, 0x00, 0x00,  // 163          mov  dword [rcx + 28], 1 it was hit
        0x8B, 0x79, 0x18,                          // 16A          mov  edi, [rcx + 24]     its owner's socket
        0x85, 0xFF,                                // 16D          test edi, edi
        0x78, 0x09,                                // 16F          js   done
        0x31, 0xF6,                                // 171          xor  esi, esi            SHUT_RD
        0xB8, 0x30, 0x00, 0x00, 0x00,              // 173          mov  eax, 48             shutdown
        0x0F, 0x05,                                // 178          syscall
        0x59,                                      // 17A done:    pop  rcx
        0x5A,                                      // 17B          pop  rdx
        0x5E,                                      // 17C          pop  rsi
        0x5F,                                      // 17D          pop  rdi
        0xC3,                                      // 17E          ret                      the access is repeated
        0x59,                                      // 17F refused: pop  rcx
        0x5A,                                      // 180          pop  rdx
        0x5E,                                      // 181          pop  rsi
        0x5F,                                      // 182          pop  rdi
        0xEB, 0x9F,                                // 183          jmp  hand
        0x90, 0x90, 0x90,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,// 188 table
    ];

    // Not Avx.IsSupported: a native binary for processors without AVX answers it when it is compiled.
    private static bool HasAvx()
    {
        const int osXSave = 1 << 27, avx = 1 << 28;
        const uint vectorRegisters = 6;
        if (s_copy == null || !X86Base.IsSupported || (X86Base.CpuId(1, 0).Ecx & (osXSave | avx)) != (osXSave | avx)) return false;
        return (((delegate* unmanaged<uint>)((byte*)s_copy + State))() & vectorRegisters) == vectorRegisters;
    }

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
        s_refusal = "its copies are for Linux on x86-64";
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64) return null;
        s_refusal = "this process was started with SIGBUS ignored";
        SignalAction action;
        if (Libc.SigAction(Libc.SIGBUS, 0, (nint)(&action)) != 0 || action.Handler == Libc.SIG_IGN) return null;
        s_refusal = "the system does not let this process map code (mprotect with PROT_EXEC, which systemd's MemoryDenyWriteExecute forbids, for example)";
        var bytes = (nuint)Environment.SystemPageSize;
        var page = Mapping.TryCreate(bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS);
        var faults = Mapping.TryCreate(FaultTable.Bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS);
        if (page is null || faults is null) return null;
        FaultTable.Clear(faults.Window);
        var code = page.Window.Span;
        Code.CopyTo(code);
        if (action.Handler == Libc.SIG_DFL) (action.Handler, action.Flags) = (page.Start + Default, DefaultFlags);
        BinaryPrimitives.WriteInt64LittleEndian(code[Previous..], action.Handler);
        BinaryPrimitives.WriteInt64LittleEndian(code[Table..], faults.Start);
        action.Handler = page.Start + Handler;
        // Never writable and executable at once. The page stays mapped as long as the process lives.
        if (Libc.MProtect(page.Start, bytes, Libc.PROT_READ | Libc.PROT_EXEC) == 0 && Libc.SigAction(Libc.SIGBUS, (nint)(&action), 0) == 0)
        {
            s_refusal = null;
            s_faults = faults;
            return (delegate* unmanaged<byte*, byte*, nuint, byte*, int>)page.Start;
        }
        page.Dispose();
        faults.Dispose();
        return null;
    }
}
