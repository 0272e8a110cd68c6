using System.Buffers.Binary;
using System.Text;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>A crash kernel for our Linux: the same kernel and initramfs, and a program that loads them (kexec_file_load(2)).</summary>
internal static class CrashKernel
{
    private const string Kernel = "/crash/vmlinuz", Archive = "/crash/initrd";

    // System calls of x86-64, and the flag of a crash kernel.
    private const int Open = 2, Exit = 60, KexecFileLoad = 320, OnCrash = 2;

    /// <summary>The command that loads it.</summary>
    internal const string Load = "load-crash";

    /// <summary>What the guest's initramfs needs.</summary>
    /// <param name="arguments">Arguments of the crash kernel.</param>
    internal static IEnumerable<(string Name, byte[] Content)> Files(string arguments) =>
    [
        ("crash/vmlinuz", File.ReadAllBytes(GuestKernel.Image!)),
        ("crash/initrd", File.ReadAllBytes(Initramfs.File)),
        ("sbin/" + Load, Program($"console=ttyS0 quiet no_timer_check nr_cpus=1 reset_devices edd=off {arguments}")),
    ];

    /// <summary>An ELF file of one segment: machine code, then the texts that it points to.</summary>
    private static byte[] Program(string arguments)
    {
        const int headers = 64 + 56;
        const ulong start = 0x40_0000;
        var code = new List<byte>();
        var texts = new List<(int At, string Text)>();
        OpenInto(Kernel, 0x49, 0x89, 0xc4); // mov r12, rax
        OpenInto(Archive, 0x49, 0x89, 0xc5); // mov r13, rax
        code.AddRange([0x4c, 0x89, 0xe7, 0x4c, 0x89, 0xee]); // mov rdi, r12; mov rsi, r13
        LoadWord(0xba, arguments.Length + 1); // mov edx
        LoadText([0x49, 0xba], arguments); // mov r10
        code.AddRange([0x41]);
        LoadWord(0xb8, OnCrash); // mov r8d
        Call(KexecFileLoad);
        code.AddRange([0x48, 0x89, 0xc7, 0x48, 0xf7, 0xdf]); // mov rdi, rax; neg rdi
        Call(Exit);

        var data = new List<byte>();
        var bytes = code.ToArray();
        foreach (var (at, text) in texts)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(at), start + headers + (ulong)(bytes.Length + data.Count));
            data.AddRange([.. Encoding.ASCII.GetBytes(text), 0]);
        }
        var size = (ulong)(headers + bytes.Length + data.Count);
        var file = new BinaryWriter(new MemoryStream());
        file.Write([0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1, .. new byte[9]]);
        foreach (var half in new ushort[] { 2, 62 }) file.Write(half); // EXEC, x86-64
        file.Write(1);
        foreach (var word in new[] { start + headers, 64UL, 0UL }) file.Write(word);
        file.Write(0);
        foreach (var half in new ushort[] { 64, 56, 1, 0, 0, 0 }) file.Write(half);
        file.Write(1); // LOAD
        file.Write(5); // readable, executable
        foreach (var word in new[] { 0UL, start, start, size, size, 0x1000UL }) file.Write(word);
        file.Write(bytes);
        file.Write([.. data]);
        return ((MemoryStream)file.BaseStream).ToArray();

        void OpenInto(string path, params byte[] move)
        {
            LoadText([0x48, 0xbf], path); // mov rdi
            code.AddRange([0x31, 0xf6]); // xor esi, esi: O_RDONLY
            Call(Open);
            code.AddRange(move);
        }

        void Call(int number)
        {
            LoadWord(0xb8, number); // mov eax
            code.AddRange([0x0f, 0x05]); // syscall
        }

        void LoadWord(byte operation, int value) => code.AddRange([operation, .. BitConverter.GetBytes(value)]);

        void LoadText(byte[] operation, string text)
        {
            code.AddRange(operation);
            texts.Add((code.Count, text));
            code.AddRange(new byte[8]);
        }
    }
}
