using System.Runtime.InteropServices;

namespace VmShunt.Ring.Files;

// struct io_uring_sqe, io_uring_cqe, io_uring_params, io_sqring_offsets, io_cqring_offsets of linux/io_uring.h.

/// <summary>A submission queue entry (<c>io_uring_sqe</c>).</summary>
[StructLayout(LayoutKind.Sequential, Size = Bytes)]
internal struct IoUringEntry
{
    internal const byte IORING_OP_READV = 1, IORING_OP_WRITEV = 2, IORING_OP_READ = 22, IORING_OP_WRITE = 23;
    internal const int Bytes = 64;

    public byte Operation, Flags;
    public ushort Priority;
    public int File;
    public ulong Offset, Address;
    public uint Length, OperationFlags;
    public ulong UserData;
}

/// <summary>A completion queue entry (<c>io_uring_cqe</c>).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IoUringCompletion
{
    internal const uint IORING_CQ_EVENTFD_DISABLED = 1;
    internal const int Bytes = 16;

    public ulong UserData;
    public int Result;
    public uint Flags;
}

/// <summary>The requested flags of a new ring, and the kernel's answer (<c>io_uring_params</c>).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IoUringParameters
{
    internal const uint IORING_SETUP_COOP_TASKRUN = 1 << 8, IORING_SETUP_TASKRUN_FLAG = 1 << 9, IORING_SQ_TASKRUN = 1 << 2;
    internal const uint IORING_FEAT_SINGLE_MMAP = 1, IORING_FEAT_RW_CUR_POS = 1 << 3;

    public uint SubmissionEntries, CompletionEntries, Flags, Processor, Idle, Features, WorkQueue, Reserved1, Reserved2, Reserved3;
    public SubmissionOffsets Submission;
    public CompletionOffsets Completion;

    /// <summary>The size of both rings in one mapping (IORING_FEAT_SINGLE_MMAP).</summary>
    internal readonly nuint RingsBytes =>
        Math.Max(Submission.Array + SubmissionEntries * sizeof(uint), Completion.Completions + CompletionEntries * IoUringCompletion.Bytes);

    /// <summary><c>io_sqring_offsets</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct SubmissionOffsets
    {
        public uint Head, Tail, RingMask, RingEntries, Flags, Dropped, Array, Reserved;
        public ulong UserAddress;
    }

    /// <summary><c>io_cqring_offsets</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct CompletionOffsets
    {
        public uint Head, Tail, RingMask, RingEntries, Overflow, Completions, Flags, Reserved;
        public ulong UserAddress;
    }
}
