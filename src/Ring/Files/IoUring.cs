using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Files;

/// <summary>
/// An io_uring of one thread: disk operations that are under way side by side, between a file and guest memory, with one
/// system call to submit many and none to find what is done. By raw system calls (Linux <c>io_uring(7)</c>). The thread
/// that made it owns it; nothing is allocated after that.
/// </summary>
public sealed unsafe class IoUring : IDisposable
{
    private const long SetupCall = 425, EnterCall = 426, RegisterCall = 427;
    private const uint IORING_REGISTER_EVENTFD = 4, IORING_ENTER_GETEVENTS = 1;
    private const long IORING_OFF_SQ_RING = 0, IORING_OFF_SQES = 0x1000_0000;

    // Far more than a thread makes before it yields its core.
    private const int MostLooks = 1024;

    private readonly SafeFileHandle _handle;
    private readonly int _ring, _file;
    private readonly bool _takesSinglePieces;
    private readonly byte* _rings;
    private readonly nuint _ringsBytes;
    private readonly IoUringEntry* _entries;
    private readonly nuint _entriesBytes;
    private readonly uint* _submissionTail, _submissionFlags, _completionHead, _completionTail, _completionFlags;
    private readonly uint _submissionMask, _completionMask;
    private readonly IoUringCompletion* _completions;
    private uint _tail, _prepared, _head;
    private int _looks;

    private IoUring(SafeFileHandle handle, in IoUringParameters parameters, SafeFileHandle file, IoUringForms forms)
    {
        _handle = handle;
        _ring = (int)handle.DangerousGetHandle();
        // The caller keeps the file open for as long as this lives.
        _file = (int)file.DangerousGetHandle();
        // The operation is as old as this feature.
        _takesSinglePieces = forms.HasFlag(IoUringForms.SinglePiece) && (parameters.Features & IoUringParameters.IORING_FEAT_RW_CUR_POS) != 0;
        _ringsBytes = parameters.RingsBytes;
        _rings = Map(_ringsBytes, IORING_OFF_SQ_RING);
        _entriesBytes = parameters.SubmissionEntries * (uint)sizeof(IoUringEntry);
        _entries = (IoUringEntry*)Map(_entriesBytes, IORING_OFF_SQES);
        _submissionTail = (uint*)(_rings + parameters.Submission.Tail);
        _submissionFlags = (uint*)(_rings + parameters.Submission.Flags);
        _submissionMask = *(uint*)(_rings + parameters.Submission.RingMask);
        _completionHead = (uint*)(_rings + parameters.Completion.Head);
        _completionTail = (uint*)(_rings + parameters.Completion.Tail);
        _completionFlags = (uint*)(_rings + parameters.Completion.Flags);
        _completionMask = *(uint*)(_rings + parameters.Completion.RingMask);
        _completions = (IoUringCompletion*)(_rings + parameters.Completion.Completions);
        // Slot i always names entry i.
        var array = (uint*)(_rings + parameters.Submission.Array);
        for (uint i = 0; i < parameters.SubmissionEntries; i++) array[i] = i;
        Capacity = (int)parameters.SubmissionEntries;
    }

    /// <summary>How many operations may be under way at once.</summary>
    public int Capacity { get; }

    /// <summary>Operations prepared or under way.</summary>
    public int InFlight { get; private set; }

    /// <summary>Whether <see cref="TryReap"/> would take one.</summary>
    public bool HasEnded => _head != Volatile.Read(ref *_completionTail);

    /// <summary>Makes a ring for a file.</summary>
    /// <param name="entries">How many operations at once.</param>
    /// <param name="file">What they are on; stays the caller's, open for as long as the ring.</param>
    /// <param name="completed">Signalled when one is done while the ring is armed; stays the caller's.</param>
    /// <param name="forms">What makes it cheaper, as far as the kernel has it.</param>
    /// <returns>Null where the kernel has none, or does not let this process.</returns>
    public static IoUring? TryCreate(int entries, SafeFileHandle file, EventFd completed, IoUringForms forms = IoUringForms.All)
    {
        ArgumentNullException.ThrowIfNull(file);
        ArgumentNullException.ThrowIfNull(completed);
        if (!TrySetUp(entries, forms, out var handle, out var parameters)) return null;
        IoUring? made = null;
        try
        {
            if ((parameters.Features & IoUringParameters.IORING_FEAT_SINGLE_MMAP) == 0) throw new IOException("the kernel's io_uring is too old");
            made = new IoUring(handle, parameters, file, forms);
            var descriptor = (int)completed.Handle.DangerousGetHandle();
            if (Libc.SystemCall(RegisterCall, made._ring, (nint)IORING_REGISTER_EVENTFD, (nint)(&descriptor), 1, 0, 0) != 0)
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
    public void PrepareRead(IoVectors target, long offset, ulong token) => Prepare(IoUringEntry.IORING_OP_READ, IoUringEntry.IORING_OP_READV, target, offset, token);

    /// <summary>Prepares a write from the pieces, which stay as they are until it is done.</summary>
    /// <inheritdoc cref="PrepareRead"/>
    public void PrepareWrite(IoVectors source, long offset, ulong token) => Prepare(IoUringEntry.IORING_OP_WRITE, IoUringEntry.IORING_OP_WRITEV, source, offset, token);

    /// <summary>Gives the kernel what was prepared.</summary>
    /// <exception cref="IOException">It took nothing.</exception>
    public void Submit()
    {
        while (_prepared > 0) Enter(complete: 0, flags: 0);
    }

    /// <summary>Gives the kernel what was prepared, and waits until at least one operation is done; as a rule by one call.</summary>
    /// <exception cref="IOException">The kernel refused.</exception>
    public void WaitForOne()
    {
        while (_prepared > 0 || !HasEnded) Enter(complete: 1, IORING_ENTER_GETEVENTS);
    }

    /// <summary>Has the eventfd signalled when an operation is done, for a thread that is about to sleep on it.</summary>
    /// <returns>True when one is done already: do not sleep.</returns>
    public bool Arm()
    {
        Volatile.Write(ref *_completionFlags, 0);
        Thread.MemoryBarrier();
        return HasEnded;
    }

    /// <summary>Has no eventfd signalled: the thread looks by itself.</summary>
    public void Disarm() => Volatile.Write(ref *_completionFlags, IoUringCompletion.IORING_CQ_EVENTFD_DISABLED);

    /// <summary>Takes one that is done; no system call, for a thread that is in the kernel now and then.</summary>
    /// <param name="token">Which.</param>
    /// <param name="result">Bytes, or a negative errno.</param>
    public bool TryReap(out ulong token, out int result)
    {
        (token, result) = (0, 0);
        if (!HasEnded)
        {
            if (!IsTellingOverdue()) return false;
            Enter(complete: 0, IORING_ENTER_GETEVENTS);
            if (!HasEnded) return false;
        }
        _looks = 0;
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

    private void Prepare(byte onOne, byte onMany, IoVectors pieces, long offset, ulong token)
    {
        ArgumentNullException.ThrowIfNull(pieces);
        if (InFlight == Capacity) throw new InvalidOperationException("the ring is full; reap first");
        ref var entry = ref _entries[_tail & _submissionMask];
        entry = default;
        entry.File = _file;
        entry.Offset = (ulong)offset;
        var list = pieces.Pieces;
        if (_takesSinglePieces && list.Length == 1)
        {
            // No piece is as long as 32 bits can say.
            (entry.Operation, entry.Address, entry.Length) = (onOne, (ulong)list[0].Address, (uint)list[0].Length);
        }
        else
        {
            // Pinned for as long as the list lives.
            (entry.Operation, entry.Address, entry.Length) = (onMany, (ulong)Unsafe.AsPointer(ref MemoryMarshal.GetReference(list)), (uint)list.Length);
        }
        entry.UserData = token;
        _tail++;
        _prepared++;
        InFlight++;
    }

    /// <summary>Has the kernel take what was prepared, and wait until so many are done.</summary>
    private void Enter(uint complete, uint flags)
    {
        Volatile.Write(ref *_submissionTail, _tail);
        var taken = Libc.SystemCall(EnterCall, _ring, (nint)_prepared, (nint)complete, (nint)flags, 0, 0);
        if (taken >= 0) _prepared -= (uint)taken;
        else if (!LibcError.Interrupted && !LibcError.WouldWait && !LibcError.IsBusy) throw LibcError.Last("submitting to an io_uring, or waiting for it");
    }

    /// <summary>
    /// Whether operations have ended that are told of only when the thread is in the kernel, and it has not been there for
    /// long: it looks at other things, and never pauses.
    /// </summary>
    private bool IsTellingOverdue()
    {
        if ((Volatile.Read(ref *_submissionFlags) & IoUringParameters.IORING_SQ_TASKRUN) == 0) return false;
        if (++_looks < MostLooks) return false;
        _looks = 0;
        return true;
    }

    private static bool TrySetUp(int entries, IoUringForms forms, out SafeFileHandle handle, out IoUringParameters parameters)
    {
        const uint cooperative = IoUringParameters.IORING_SETUP_COOP_TASKRUN | IoUringParameters.IORING_SETUP_TASKRUN_FLAG;
        // An older kernel refuses what it does not know.
        ReadOnlySpan<uint> attempts = forms.HasFlag(IoUringForms.Cooperative) ? [cooperative, 0] : [0];
        foreach (var flags in attempts)
        {
            var asked = new IoUringParameters { Flags = flags };
            var ring = (int)Libc.SystemCall(SetupCall, entries, (nint)(&asked), 0, 0, 0, 0);
            if (ring < 0) continue;
            (handle, parameters) = (new SafeFileHandle(ring, ownsHandle: true), asked);
            return true;
        }
        (handle, parameters) = (null!, default);
        return false;
    }

    private byte* Map(nuint bytes, long offset)
    {
        var start = Libc.MMap(null, bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED | Libc.MAP_POPULATE, _ring, offset);
        return start == Libc.MAP_FAILED ? throw LibcError.Last("mapping an io_uring") : start;
    }
}
