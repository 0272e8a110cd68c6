using System.Buffers.Binary;
using System.Text;
using VmShunt.Ring.Memory;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Crash;

/// <summary>
/// The head of an ELF64 core file (System V gABI; Linux x86-64 notes): file header, program headers, a PRSTATUS note per
/// processor and a VMSHUNT note with the reason. The memory of each part follows, page aligned. Allocates nothing.
/// </summary>
internal static class ElfCore
{
    private const int FileHeaderBytes = 64, ProgramHeaderBytes = 56, NoteHeaderBytes = 12;
    private const int PrStatusBytes = 336, PrStatusRegisters = 112;
    private const int PageBytes = 4096;
    private const ushort Core = 4, X86_64 = 62;
    private const uint Load = 1, Note = 4, ReadWriteExecute = 7;
    private const uint PrStatus = 1, CrashReason = 1;

    /// <summary>The name of the note with the reason.</summary>
    internal const string NoteOwner = "VMSHUNT";

    /// <summary>Writes the head.</summary>
    /// <param name="target">Zeroed, and large enough.</param>
    /// <param name="parts">The memory parts, in the order in which they follow.</param>
    /// <param name="processors">The registers of each processor.</param>
    /// <param name="reason">The reason of the crash.</param>
    /// <returns>The length of the head, a multiple of 4096: the file offset of the first part.</returns>
    internal static int WriteHead(Span<byte> target, ReadOnlySpan<MemoryPart> parts, ReadOnlySpan<ProcessorState> processors, ReadOnlySpan<char> reason)
    {
        var notes = FileHeaderBytes + ProgramHeaderBytes * (1 + parts.Length);
        var at = notes;
        for (var i = 0; i < processors.Length; i++) at += WritePrStatus(target[at..], processors[i], i + 1);
        at += WriteReason(target[at..], reason);
        var head = (at + PageBytes - 1) / PageBytes * PageBytes;

        WriteFileHeader(target, parts.Length + 1);
        WriteProgramHeader(target[FileHeaderBytes..], Note, notes, 0, at - notes, 4);
        var offset = (long)head;
        for (var i = 0; i < parts.Length; i++)
        {
            WriteProgramHeader(target[(FileHeaderBytes + ProgramHeaderBytes * (i + 1))..], Load, offset, parts[i].GuestAddress, (long)parts[i].Size, PageBytes);
            offset += (long)parts[i].Size;
        }
        return head;
    }

    /// <summary>The file offset of the memory in a core written by this class: the offset of the first LOAD segment, at most the length given.</summary>
    internal static long MemoryOffset(ReadOnlySpan<byte> core)
    {
        const int FirstLoad = FileHeaderBytes + ProgramHeaderBytes;
        if (core.Length < FirstLoad + ProgramHeaderBytes) return core.Length;
        return Math.Clamp(BinaryPrimitives.ReadInt64LittleEndian(core[(FirstLoad + 8)..]), 0, core.Length);
    }

    private static void WriteFileHeader(Span<byte> target, int programHeaders)
    {
        // e_ident: magic, 64-bit, little-endian, version 1.
        ReadOnlySpan<byte> identity = [0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1];
        identity.CopyTo(target);
        BinaryPrimitives.WriteUInt16LittleEndian(target[16..], Core);
        BinaryPrimitives.WriteUInt16LittleEndian(target[18..], X86_64);
        BinaryPrimitives.WriteUInt32LittleEndian(target[20..], 1);
        BinaryPrimitives.WriteUInt64LittleEndian(target[32..], FileHeaderBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(target[52..], FileHeaderBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(target[54..], ProgramHeaderBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(target[56..], (ushort)programHeaders);
    }

    private static void WriteProgramHeader(Span<byte> target, uint type, long offset, ulong physical, long size, long align)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(target, type);
        BinaryPrimitives.WriteUInt32LittleEndian(target[4..], type == Load ? ReadWriteExecute : 4u);
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], offset);
        BinaryPrimitives.WriteUInt64LittleEndian(target[16..], physical);
        BinaryPrimitives.WriteUInt64LittleEndian(target[24..], physical);
        BinaryPrimitives.WriteInt64LittleEndian(target[32..], size);
        BinaryPrimitives.WriteInt64LittleEndian(target[40..], type == Load ? size : 0);
        BinaryPrimitives.WriteInt64LittleEndian(target[48..], align);
    }

    private static int WritePrStatus(Span<byte> target, in ProcessorState state, int processor)
    {
        var body = WriteNoteHeader(target, "CORE", PrStatusBytes, PrStatus);
        BinaryPrimitives.WriteInt32LittleEndian(target[(body + 32)..], processor);
        // The order of struct user_regs_struct.
        ReadOnlySpan<ulong> registers =
        [
            state.R15, state.R14, state.R13, state.R12, state.Rbp, state.Rbx, state.R11, state.R10, state.R9, state.R8,
            state.Rax, state.Rcx, state.Rdx, state.Rsi, state.Rdi, ulong.MaxValue, state.Rip, 0, state.Rflags, state.Rsp,
        ];
        for (var i = 0; i < registers.Length; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(target[(body + PrStatusRegisters + 8 * i)..], registers[i]);
        return body + PrStatusBytes;
    }

    private static int WriteReason(Span<byte> target, ReadOnlySpan<char> reason)
    {
        var length = Encoding.UTF8.GetByteCount(reason) + 1;
        var body = WriteNoteHeader(target, NoteOwner, length, CrashReason);
        Encoding.UTF8.GetBytes(reason, target[body..]);
        return body + (length + 3) / 4 * 4;
    }

    private static int WriteNoteHeader(Span<byte> target, string owner, int bodyBytes, uint type)
    {
        BinaryPrimitives.WriteInt32LittleEndian(target, owner.Length + 1);
        BinaryPrimitives.WriteInt32LittleEndian(target[4..], bodyBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(target[8..], type);
        Encoding.ASCII.GetBytes(owner, target[NoteHeaderBytes..]);
        return NoteHeaderBytes + (owner.Length + 1 + 3) / 4 * 4;
    }
}
