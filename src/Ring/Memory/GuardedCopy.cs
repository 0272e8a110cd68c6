using System.Buffers.Binary;
using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Memory;

/// <summary>
/// Copies from memory that may be gone: a page of a mapped file that somebody has cut short, or that the device cannot
/// read, raises SIGBUS where it is touched. Here that ends the copy and not the process. Any thread.
/// </summary>
/// <remarks>
/// A handler in C# would not be safe: the runtime may be anywhere when a signal comes. So the copy is one instruction of
/// machine code, and the handler a few: when the signal came from that instruction it goes on behind it, and otherwise
/// it passes the signal on to the handler that was there before, the runtime's. Neither touches anything managed.
/// </remarks>
internal static unsafe class GuardedCopy
{
    private const int Handler = 16, Previous = 64;

    private static readonly delegate* unmanaged<byte*, byte*, nuint, int> s_copy = Install();

    /// <summary>Whether this machine can: Linux on x86-64, and the system lets the process make code.</summary>
    internal static bool IsSupported => s_copy != null;

    /// <summary>Copies bytes; only where <see cref="IsSupported"/>.</summary>
    /// <returns>False when a page could not be had; a part may have been copied.</returns>
    internal static bool TryCopy(byte* target, byte* source, nuint bytes) => s_copy(target, source, bytes) == 0;

    // System V AMD64: the arguments are in rdi, rsi, rdx; the handler's are the signal, siginfo and ucontext.
    private static ReadOnlySpan<byte> Code =>
    [
        0x48, 0x89, 0xD1,                          //  0  copy:    mov  rcx, rdx
        0xF3, 0xA4,                                //  3           rep movsb
        0x31, 0xC0,                                //  5           xor  eax, eax
        0xC3,                                      //  7           ret
        0xB8, 0x01, 0x00, 0x00, 0x00,              //  8  failed:  mov  eax, 1
        0xC3,                                      // 13           ret
        0x90, 0x90,
        0x48, 0x8B, 0x82, 0xA8, 0x00, 0x00, 0x00,  // 16  handler: mov  rax, [rdx + 168]   uc_mcontext.gregs[REG_RIP]
        0x48, 0x8D, 0x0D, 0xE5, 0xFF, 0xFF, 0xFF,  // 23           lea  rcx, [copy + 3]
        0x48, 0x39, 0xC8,                          // 30           cmp  rax, rcx
        0x75, 0x0F,                                // 33           jne  pass
        0x48, 0x8D, 0x05, 0xDE, 0xFF, 0xFF, 0xFF,  // 35           lea  rax, [failed]
        0x48, 0x89, 0x82, 0xA8, 0x00, 0x00, 0x00,  // 42           mov  [rdx + 168], rax
        0xC3,                                      // 49           ret
        0xFF, 0x25, 0x08, 0x00, 0x00, 0x00,        // 50  pass:    jmp  [previous]
    ];

    private static delegate* unmanaged<byte*, byte*, nuint, int> Install()
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64) return null;
        Libc.SignalAction action;
        if (Libc.SigAction(Libc.SIGBUS, null, &action) != 0 || action.Handler is Libc.SIG_DFL or Libc.SIG_IGN) return null;
        var bytes = (nuint)Environment.SystemPageSize;
        var page = Libc.MMap(null, bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS, -1, 0);
        if (page == Libc.MAP_FAILED) return null;
        Code.CopyTo(new Span<byte>(page, Handler + Previous));
        BinaryPrimitives.WriteInt64LittleEndian(new Span<byte>(page + Previous, sizeof(long)), action.Handler);
        action.Handler = (nint)(page + Handler);
        // Never writable and executable at once.
        if (Libc.MProtect(page, bytes, Libc.PROT_READ | Libc.PROT_EXEC) == 0 && Libc.SigAction(Libc.SIGBUS, &action, null) == 0)
            return (delegate* unmanaged<byte*, byte*, nuint, int>)page;
        _ = Libc.MUnmap(page, bytes);
        return null;
    }
}
