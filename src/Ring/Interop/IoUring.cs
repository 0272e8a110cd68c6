using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Interop;

/// <summary>
/// An io_uring of one thread: disk operations that are under way side by side, between a file and guest memory, with one
/// system call to submit many and none to find what is done. By raw system calls (Linux <c>io_uring(7)</c>). The thread
/// that made it owns it; nothing is allocated after that.
/// </summary>
public sealed unsafe class IoUring : IDisposable
{
    private const long SetupCall = 425, EnterCall = 426, RegisterCall = 427;
    private const byte IORING_OP_READV = 1, IORING_OP_WRITEV = 2;
    private const uint IORING_CQ_EVENTFD_DISABLED = 1, IORING_FEAT_SINGLE_MMAP = 1, IORING_REGISTER_EVENTFD = 4, IORING_ENTER_GETEVENTS = 1;
    private const long IORING_OFF_SQ_RING = 0, IORING_OFF_SQES = 0x1000_0000;

    private readonly SafeFileHandle _handle;
    private readonly int _ring, _file;
    private readonly byte* _rings;
    private readonly nuint _ringsBytes;
    private readonly Entry* _entries;
    private readonly nuint _entriesBytes;
    private readonly uint* _submissionTail, _completionHead, _completionTail, _completionFlags;
    private readonly uint _submissionMask, _completionMask;
    private readonly Completion* _completions;
    private uint _tail, _prepared, _head;

    private IoUring(SafeFileHandle handle, in Parameters parameters, SafeFileHandle file)
    {
        _handle = handle;
        _ring = (int)handle.DangerousGetHandle();
        // The caller keeps the file open for as long as this lives.
        _file = (int)file.DangerousGetHandle();
        _ringsBytes = Math.Max(
            parameters.Submission.Array + parameters.SubmissionEntries * sizeof(uint),
            parameters.Completion.Completions + parameters.CompletionEntries * (uint)sizeof(Completion));
        _rings = Map(_ringsBytes, IORING_OFF_SQ_RING);
        _entriesBytes = parameters.SubmissionEntries * (uint)sizeof(Entry);
        _entries = (Entry*)Map(_entriesBytes, IORING_OFF_SQES);
        _submissionTail = (uint*)(_rings + parameters.Submission.Tail);
        _submissionMask = *(uint*)(_rings + parameters.Submission.RingMask);
        _completionHead = (uint*)(_rings + parameters.Completion.Head);
        _completionTail = (uint*)(_rings + parameters.Completion.Tail);
        _completionFlags = (uint*)(_rings + parameters.Completion.Flags);
        _completionMask = *(uint*)(_rings + parameters.Completion.RingMask);
        _completions = (Completion*)(_rings + parameters.Completion.Completions);
        // Slot i always names entry i.
        var array = (uint*)(_rings + parameters.Submission.Array);
        for (uint i = 0; i < parameters.SubmissionEntries; i++) array[i] = i;
        Capacity = (int)parameters.SubmissionEntries;
    }

    /// <summary>How many operations may be under way at once.</summary>
    public int Capacity { get; }

    /// <summary>Operations prepared or under way.</summary>
    public int InFlight { get; private set; }

    /// <summary>Makes a ring for a file.</summary>
    /// <param name="entries">How many operations at once.</param>
    /// <param name="file">What they are on; stays the caller's, open for as long as the ring.</param>
    /// <param name="completed">Signalled when one is done while the ring is armed; stays the caller's.</param>
    /// <returns>Null where the kernel has none, or does not let this process.</returns>
    public static IoUring? TryCreate(int entries, SafeFileHandle file, EventFd completed)
    {
        ArgumentNullException.ThrowIfNull(file);
        ArgumentNullException.ThrowIfNull(completed);
        Parameters parameters = default;
        var ring = (int)Libc.SystemCall(SetupCall, entries, (nint)(&parameters), 0, 0, 0, 0);
        if (ring < 0) return null;
        var handle = new SafeFileHandle(ring, ownsHandle: true);
        IoUring? made = null;
        try
        {
            if ((parameters.Features & IORING_FEAT_SINGLE_MMAP) == 0) throw new IOException("the kernel's io_uring is too old");
            made = new IoUring(handle, parameters, file);
            var descriptor = (int)completed.Handle.DangerousGetHandle();
            if (Libc.SystemCall(RegisterCall, ring, (nint)IORING_REGISTER_EVENTFD, (nint)(&descriptor), 1, 0, 0) != 0)
                throw LibcError.Last("registering an eventfd with an io_uring");
            return made;
        }
        catch (IOException)
        {
            if (made is not null) made.Dispose();
            else handle.Dispose();
            return null;
        }
    }

    /// <summary>Prepares a read into the pieces, which stay as they are until it is done.</summary>
    /// <param name="target">Where to.</param>
    /// <param name="offset">Where from, in bytes.</param>
    /// <param name="token">What <see cref="TryReap"/> names it by.</param>
    public void PrepareRead(IoVectors target, long offset, ulong token) => Prepare(IORING_OP_READV, target, offset, token);

    /// <summary>Prepares a write from the pieces, which stay as they are until it is done.</summary>
    /// <inheritdoc cref="PrepareRead"/>
    public void PrepareWrite(IoVectors source, long offset, ulong token) => Prepare(IORING_OP_WRITEV, source, offset, token);

    /// <summary>Gives the kernel what was prepared.</summary>
    /// <exception cref="IOException">It took nothing.</exception>
    public void Submit()
    {
        if (_prepared == 0) return;
        Volatile.Write(ref *_submissionTail, _tail);
        while (_prepared > 0)
        {
            var taken = Libc.SystemCall(EnterCall, _ring, (nint)_prepared, 0, 0, 0, 0);
            if (taken > 0) _prepared -= (uint)taken;
            else if (!LibcError.Interrupted && !LibcError.WouldWait && !LibcError.IsBusy) throw LibcError.Last("submitting to an io_uring");
        }
    }

    /// <summary>Waits until at least one operation is done.</summary>
    /// <exception cref="IOException">The kernel refused.</exception>
    public void WaitForOne()
    {
        while (_head == Volatile.Read(ref *_completionTail))
        {
            if (Libc.SystemCall(EnterCall, _ring, 0, 1, (nint)IORING_ENTER_GETEVENTS, 0, 0) < 0 && !LibcError.Interrupted)
                throw LibcError.Last("waiting for an io_uring");
        }
    }

    /// <summary>Has the eventfd signalled when an operation is done, for a thread that is about to sleep on it.</summary>
    /// <returns>True when one is done already: do not sleep.</returns>
    public bool Arm()
    {
        Volatile.Write(ref *_completionFlags, 0);
        Thread.MemoryBarrier();
        return _head != Volatile.Read(ref *_completionTail);
    }

    /// <summary>Has no eventfd signalled: the thread looks by itself.</summary>
    public void Disarm() => Volatile.Write(ref *_completionFlags, IORING_CQ_EVENTFD_DISABLED);

    /// <summary>Takes one that is done; no system call.</summary>
    /// <param name="token">Which.</param>
    /// <param name="result">Bytes, or a negative errno.</param>
    public bool TryReap(out ulong token, out int result)
    {
        (token, result) = (0, 0);
        if (_head == Volatile.Read(ref *_completionTail)) return false;
        var done = _completions[_head & _completionMask];
        (token, result) = (done.UserData, done.Result);
        Volatile.Write(ref *_completionHead, ++_head);
        InFlight--;
        return true;
    }

    /// <summary>Only when nothing is under way.</summary>
    public void Dispose()
    {
        _ = Libc.MUnmap(_entries, _entriesBytes);
        _ = Libc.MUnmap(_rings, _ringsBytes);
        _handle.Dispose();
    }

    private void Prepare(byte operation, IoVectors pieces, long offset, ulong token)
    {
        ArgumentNullException.ThrowIfNull(pieces);
        if (InFlight == Capacity) throw new InvalidOperationException("the ring is full; reap first");
        ref var entry = ref _entries[_tail & _submissionMask];
        entry = default;
        entry.Operation = operation;
        entry.File = _file;
        entry.Offset = (ulong)offset;
        // Pinned for as long as the list lives.
        entry.Address = (ulong)Unsafe.AsPointer(ref MemoryMarshal.GetReference(pieces.Pieces));
        entry.Length = (uint)pieces.Count;
        entry.UserData = token;
        _tail++;
        _prepared++;
        InFlight++;
    }

    private byte* Map(nuint bytes, long offset)
    {
        var start = Libc.MMap(null, bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED | Libc.MAP_POPULATE, _ring, offset);
        return start == Libc.MAP_FAILED ? throw LibcError.Last("mapping an io_uring") : start;
    }

    // struct io_uring_sqe, io_uring_cqe, io_uring_params of linux/io_uring.h.
    [StructLayout(LayoutKind.Sequential, Size = 64)]
    private struct Entry
    {
        public byte Operation, Flags;
        public ushort Priority;
        public int File;
        public ulong Offset, Address;
        public uint Length, OperationFlags;
        public ulong UserData;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Completion
    {
        public ulong UserData;
        public int Result;
        public uint Flags;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct SubmissionOffsets
    {
        public uint Head, Tail, RingMask, RingEntries, Flags, Dropped, Array, Reserved;
        public ulong UserAddress;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct CompletionOffsets
    {
        public uint Head, Tail, RingMask, RingEntries, Overflow, Completions, Flags, Reserved;
        public ulong UserAddress;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Parameters
    {
        public uint SubmissionEntries, CompletionEntries, Flags, Processor, Idle, Features, WorkQueue, Reserved1, Reserved2, Reserved3;
        public SubmissionOffsets Submission;
        public CompletionOffsets Completion;
    }
}
