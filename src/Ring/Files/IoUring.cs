using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Files;

/// <summary>
/// An io_uring (<c>io_uring(7)</c>): concurrent disk operations between a file and guest memory. One system call submits
/// many; a completion is found without one. The thread that created it owns it. Nothing is allocated after creation.
/// </summary>
public sealed class IoUring : IDisposable
{
    private const long SetupCall = 425, EnterCall = 426, RegisterCall = 427;
    private const uint IORING_REGISTER_EVENTFD = 4, IORING_ENTER_GETEVENTS = 1;
    private const long IORING_OFF_SQ_RING = 0, IORING_OFF_SQES = 0x1000_0000;

    // Far more than a thread polls before it yields.
    private const int MaxPolls = 1024;

    private readonly SafeFileHandle _handle;
    private readonly int _ring, _file;
    private readonly bool _takesSinglePieces;
    private readonly Mapping _ringsMapping, _entriesMapping;

    // Words in _rings are shared with the kernel; these are their offsets.
    private readonly MemoryWindow _rings, _entries;
    private readonly int _submissionTail, _submissionFlags, _completionHead, _completionTail, _completionFlags, _completions;
    private readonly uint _submissionMask, _completionMask;
    private uint _tail, _prepared, _head;
    private int _polls;

    private IoUring(SafeFileHandle handle, in IoUringParameters parameters, Mapping rings, Mapping entries, SafeFileHandle file, bool takesSinglePieces)
    {
        _handle = handle;
        _ring = (int)handle.DangerousGetHandle();
        // The caller keeps the file open until this is disposed.
        _file = (int)file.DangerousGetHandle();
        _takesSinglePieces = takesSinglePieces;
        (_ringsMapping, _entriesMapping) = (rings, entries);
        (_rings, _entries) = (rings.Window, entries.Window);
        _submissionTail = (int)parameters.Submission.Tail;
        _submissionFlags = (int)parameters.Submission.Flags;
        _submissionMask = _rings.Read<uint>((int)parameters.Submission.RingMask);
        _completionHead = (int)parameters.Completion.Head;
        _completionTail = (int)parameters.Completion.Tail;
        _completionFlags = (int)parameters.Completion.Flags;
        _completionMask = _rings.Read<uint>((int)parameters.Completion.RingMask);
        _completions = (int)parameters.Completion.Completions;
        // Slot i always names entry i.
        for (var i = 0; i < parameters.SubmissionEntries; i++) _rings.Write((int)parameters.Submission.Array + i * sizeof(uint), i);
        Capacity = (int)parameters.SubmissionEntries;
    }

    /// <summary>How many operations may be in flight.</summary>
    public int Capacity { get; }

    /// <summary>Operations that are prepared or submitted and not reaped.</summary>
    public int InFlight { get; private set; }

    /// <summary>Whether a completion is ready to be reaped.</summary>
    public bool HasEnded
    {
        // Acquire: the kernel writes the entry, then the tail.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _head != _rings.ReadUInt32Acquire(_completionTail);
    }

    /// <summary>Creates a ring for a file.</summary>
    /// <param name="entries">How many operations may be in flight.</param>
    /// <param name="file">The file; the caller owns it and keeps it open until the ring is disposed.</param>
    /// <param name="completed">Signalled at a completion while the ring is armed; the caller owns it.</param>
    /// <param name="features">The features to use where the kernel has them.</param>
    /// <returns>Null where the kernel has no io_uring, or does not allow this process to use it.</returns>
    public static IoUring? TryCreate(int entries, SafeFileHandle file, EventFd completed, IoUringFeatures features = IoUringFeatures.All)
    {
        ArgumentNullException.ThrowIfNull(file);
        ArgumentNullException.ThrowIfNull(completed);
        if (!TrySetUp(entries, features, out var handle, out var parameters)) return null;
        var ring = (int)handle.DangerousGetHandle();
        Mapping? rings = null, submissions = null;
        if ((parameters.Features & IoUringParameters.IORING_FEAT_SINGLE_MMAP) != 0
            && (rings = Map(ring, parameters.RingsBytes, IORING_OFF_SQ_RING)) is not null
            && (submissions = Map(ring, parameters.SubmissionEntries * IoUringEntry.Bytes, IORING_OFF_SQES)) is not null
            && Libc.SystemCall(RegisterCall, ring, (nint)IORING_REGISTER_EVENTFD, (int)completed.Handle.DangerousGetHandle(), 1) == 0
            // A filter may allow the set-up and refuse what each submission needs.
            && Libc.SystemCall(EnterCall, ring, 0, 0, 0, 0, 0) >= 0)
        {
            // IORING_OP_READ is as old as this feature.
            var takesSinglePieces = features.HasFlag(IoUringFeatures.SinglePiece) && (parameters.Features & IoUringParameters.IORING_FEAT_RW_CUR_POS) != 0;
            return new IoUring(handle, parameters, rings, submissions, file, takesSinglePieces);
        }
        rings?.Dispose();
        submissions?.Dispose();
        handle.Dispose();
        return null;
    }

    /// <summary>Prepares a read into the pieces, which must not change until the read completes.</summary>
    /// <param name="target">The pieces.</param>
    /// <param name="offset">The offset in the file, in bytes.</param>
    /// <param name="token">Identifies the operation in <see cref="TryReap"/>.</param>
    public void PrepareRead(IoVectors target, long offset, ulong token) => Prepare(IoUringEntry.IORING_OP_READ, IoUringEntry.IORING_OP_READV, target, offset, token);

    /// <summary>Prepares a write from the pieces, which must not change until the write completes.</summary>
    /// <inheritdoc cref="PrepareRead"/>
    public void PrepareWrite(IoVectors source, long offset, ulong token) => Prepare(IoUringEntry.IORING_OP_WRITE, IoUringEntry.IORING_OP_WRITEV, source, offset, token);

    /// <summary>Submits the prepared operations.</summary>
    /// <exception cref="IOException">The kernel accepted none.</exception>
    public void Submit()
    {
        while (_prepared > 0) Enter(complete: 0, flags: 0);
    }

    /// <summary>Submits the prepared operations and blocks until one completes; usually with one system call.</summary>
    /// <exception cref="IOException">The kernel refused.</exception>
    public void WaitForOne()
    {
        while (_prepared > 0 || !HasEnded) Enter(complete: 1, IORING_ENTER_GETEVENTS);
    }

    /// <summary>Enables the eventfd, for a thread that is about to block on it.</summary>
    /// <returns>True when an operation has completed already: do not block.</returns>
    public bool Arm()
    {
        _rings.WriteUInt32Release(_completionFlags, 0);
        // The kernel posts a completion, then reads the flags. This thread must enable first and then check the tail.
        Fence.StoreBeforeLoad();
        return HasEnded;
    }

    /// <summary>Disables the eventfd: the thread polls.</summary>
    public void Disarm() => _rings.WriteUInt32Release(_completionFlags, IoUringCompletion.IORING_CQ_EVENTFD_DISABLED);

    /// <summary>Reaps one completion, without a system call if the thread enters the kernel now and then.</summary>
    /// <param name="token">The token of the operation.</param>
    /// <param name="result">The number of bytes, or a negative errno.</param>
    /// <returns>False when none has completed.</returns>
    public bool TryReap(out ulong token, out int result)
    {
        (token, result) = (0, 0);
        if (!HasEnded)
        {
            if (!IsPostingOverdue()) return false;
            Enter(complete: 0, IORING_ENTER_GETEVENTS);
            if (!HasEnded) return false;
        }
        _polls = 0;
        var completion = _rings.Read<IoUringCompletion>(_completions + (int)(_head & _completionMask) * IoUringCompletion.Bytes);
        (token, result) = (completion.UserData, completion.Result);
        // Release: the kernel may reuse the entry once it sees the head, so the entry is read before.
        _rings.WriteUInt32Release(_completionHead, ++_head);
        InFlight--;
        return true;
    }

    /// <summary>Closes the ring. No operation may be in flight.</summary>
    public void Dispose()
    {
        _entriesMapping.Dispose();
        _ringsMapping.Dispose();
        _handle.Dispose();
    }

    private void Prepare(byte singleOperation, byte listOperation, IoVectors pieces, long offset, ulong token)
    {
        ArgumentNullException.ThrowIfNull(pieces);
        if (InFlight == Capacity) throw new InvalidOperationException("the ring is full; reap first");
        ref var entry = ref MemoryMarshal.AsRef<IoUringEntry>(_entries.Span.Slice((int)(_tail & _submissionMask) * IoUringEntry.Bytes, IoUringEntry.Bytes));
        entry = default;
        entry.File = _file;
        entry.Offset = (ulong)offset;
        var list = pieces.Pieces;
        if (_takesSinglePieces && list.Length == 1)
        {
            // The length of a piece fits 32 bits.
            (entry.Operation, entry.Address, entry.Length) = (singleOperation, (ulong)list[0].Address, (uint)list[0].Length);
        }
        else
        {
            (entry.Operation, entry.Address, entry.Length) = (listOperation, (ulong)pieces.Address, (uint)list.Length);
        }
        entry.UserData = token;
        _tail++;
        _prepared++;
        InFlight++;
    }

    /// <summary>Submits the prepared operations and blocks until <paramref name="complete"/> completions are posted.</summary>
    private void Enter(uint complete, uint flags)
    {
        // Release: the kernel reads the entries after it sees the tail.
        _rings.WriteUInt32Release(_submissionTail, _tail);
        var submitted = Libc.SystemCall(EnterCall, _ring, (nint)_prepared, (nint)complete, (nint)flags, 0, 0);
        if (submitted >= 0) _prepared -= (uint)submitted;
        else if (!LibcError.Interrupted && !LibcError.WouldBlock && !LibcError.IsBusy) throw LibcError.Last("submitting to an io_uring, or waiting for it");
    }

    /// <summary>
    /// Whether the kernel has completions to post (<see cref="IoUringFeatures.Cooperative"/>) and this thread has polled for
    /// long without entering it.
    /// </summary>
    private bool IsPostingOverdue()
    {
        // The order does not matter: the flag is polled, and read again at the next poll.
        if ((_rings.ReadUInt32Acquire(_submissionFlags) & IoUringParameters.IORING_SQ_TASKRUN) == 0) return false;
        if (++_polls < MaxPolls) return false;
        _polls = 0;
        return true;
    }

    private static bool TrySetUp(int entries, IoUringFeatures features, out SafeFileHandle handle, out IoUringParameters parameters)
    {
        const uint cooperative = IoUringParameters.IORING_SETUP_COOP_TASKRUN | IoUringParameters.IORING_SETUP_TASKRUN_FLAG;
        // An older kernel refuses flags that it does not know.
        ReadOnlySpan<uint> attempts = features.HasFlag(IoUringFeatures.Cooperative) ? [cooperative, 0] : [0];
        foreach (var flags in attempts)
        {
            parameters = new IoUringParameters { Flags = flags };
            var ring = (int)Libc.SystemCall(SetupCall, entries, ref Unsafe.As<IoUringParameters, byte>(ref parameters));
            if (ring < 0) continue;
            handle = new SafeFileHandle(ring, ownsHandle: true);
            return true;
        }
        (handle, parameters) = (null!, default);
        return false;
    }

    private static Mapping? Map(int ring, nuint bytes, long offset) =>
        Mapping.TryCreate(bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED | Libc.MAP_POPULATE, ring, offset);
}
