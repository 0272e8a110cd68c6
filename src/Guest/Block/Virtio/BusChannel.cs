using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.BlockDriver.Virtio;

/// <summary>
/// A guest's end of the bus to one disk: a session with a vhost-user-blk back-end over the guest's own memory, and its
/// virtqueues. It routes each request to a queue. A polled call runs on a free queue without a thread; other requests go to a
/// queue thread. Any thread.
/// </summary>
/// <remarks>
/// This is the level below <see cref="BlockDisk"/>, for programs that bring their own memory, request objects and threads: a
/// guest, or a test of one. It does not reconnect: a channel that is lost rejects its requests to their fallback.
/// </remarks>
public sealed class BusChannel : IDisposable
{
    // The number of threads that submitted to a channel of several queues, and the calling thread's number, from 1.
    private static int s_submitters;

    [ThreadStatic]
    private static int t_submitter;

    private readonly BusSession _session;
    private readonly QueueSetup _setup;
    private DiskGeometry _geometry = new(0, 0, "", false);
    private QueueThread[] _threads = [];
    private PolledQueue[] _polled = [];

    private BusChannel(BusSession session, GuestPages pages)
    {
        _session = session;
        _setup = new QueueSetup(session, pages);
        Features = session.Features;
    }

    /// <summary>The negotiated virtio features.</summary>
    public VirtioBlkFeatures Features { get; }

    /// <summary>The request types that the back-end implements on the ring; all until <see cref="Agree"/> has run, which is before the channel is shared.</summary>
    public RequestTypes Implemented { get; private set; } = RequestTypes.All;

    /// <summary>The disk's geometry, as of the last configuration change. Acquire: a reader sees the record complete.</summary>
    public DiskGeometry Geometry => Ordered.Load(ref _geometry);

    /// <summary>The rings in guest memory, which belong to the channel; for a test that overwrites them.</summary>
    public IReadOnlyList<GuestBuffer> RingMemory => _setup.Memory;

    /// <summary>The number of queues with a thread.</summary>
    public int QueueCount => _threads.Length;

    /// <summary>The number of queues that callers poll.</summary>
    public int PollQueues => _polled.Length;

    /// <summary>The counters of each queue.</summary>
    public IEnumerable<QueueCounters> Counters => Queues.Select(static queue => queue.Counters);

    private IEnumerable<BusQueue> Queues => [.. _threads, .. _polled];

    /// <summary>Opens the channel over a connected socket and starts its queues.</summary>
    /// <param name="socket">Connected to a back-end; owned by the channel from now on.</param>
    /// <param name="ram">The memory to share; it stays the caller's, and mapped until the channel is disposed.</param>
    /// <param name="pages">Allocates memory for the rings from it.</param>
    /// <param name="options">The number of queues, which the back-end may limit, and their layout.</param>
    /// <param name="thread">The options of each queue.</param>
    /// <returns>The channel, which the caller disposes.</returns>
    /// <exception cref="IOException">The back-end rejected the session, or is not a block device, or there is no memory for the rings.</exception>
    public static BusChannel Open(UnixConnection socket, GuestRam ram, GuestPages pages, BusOptions options, QueueThreadOptions thread)
    {
        var session = BusSession.Open(socket, options.Layout);
        var channel = new BusChannel(session, pages);
        try
        {
            channel.SetGeometry(session.ShareMemory(ram));
            channel.StartQueues(options, thread);
            session.ListenForChanges(channel.SetGeometry);
            return channel;
        }
        catch (InvalidOperationException e)
        {
            // Guest memory is full. The caller can try again later.
            channel.Dispose();
            throw new IOException($"there is no guest memory for the rings: {e.Message}", e);
        }
        catch
        {
            channel.Dispose();
            throw;
        }
    }

    /// <summary>Submits a request to a queue. Any thread; a thread keeps to one queue. A channel that is lost or disposed rejects it.</summary>
    /// <param name="request">The request, whose range and length are the caller's to check.</param>
    public void Submit(BlockRequest request)
    {
        if (StatusWithoutDevice(request.Operation) is { } status)
        {
            request.RequestPath = RequestPath.Ring;
            request.Complete(status);
            return;
        }
        if (!TryPoll(request)) QueueThreadForCaller().Submit(request);
    }

    /// <summary>The status of a request type that the device does not offer; null if it does.</summary>
    internal BlockStatus? StatusWithoutDevice(BlockOperation operation)
    {
        if ((int)operation < (int)BlockOperation.Flush || IsOffered(operation)) return null;
        // A device without FLUSH makes every write durable at once (virtio 1.3 §5.2.5). A read-only one does not offer
        // discard and write zeroes, and would fail them as it fails a write.
        return operation == BlockOperation.Flush ? BlockStatus.Ok : Geometry.IsReadOnly ? BlockStatus.IoError : BlockStatus.Unsupported;
    }

    /// <summary>A queue that callers poll, by its number from 0.</summary>
    internal PolledQueue PolledQueueOf(int number) => _polled[number];

    /// <summary>Submits a request to a queue that can accept it now. Any thread.</summary>
    /// <param name="request">The request.</param>
    /// <returns>False: the request is still the caller's.</returns>
    public bool TrySubmit(BlockRequest request)
    {
        if ((int)request.Operation < (int)BlockOperation.Flush || IsOffered(request.Operation)) return TryPoll(request) || QueueThreadForCaller().TrySubmit(request);
        Submit(request);
        return true;
    }

    /// <summary>Checks with the back-end which request types will come; <see cref="ShuntAgreement"/> has the protocol.</summary>
    /// <param name="declare">The declaration, given the request types that the back-end implements.</param>
    /// <returns>Null if they agree, otherwise the reason. A back-end without the agreement implements all that it offers.</returns>
    /// <exception cref="IOException">The channel is lost.</exception>
    public string? Agree(Func<RequestTypes, ShuntDeclaration> declare)
    {
        var disagreement = _session.Agree(declare, out var implemented);
        Implemented = implemented;
        return disagreement;
    }

    /// <summary>Drains the queues, stops the rings, and waits until the back-end has released the memory. Not on a queue's thread.</summary>
    public void Dispose()
    {
        foreach (var queue in Queues) queue.Drain();
        _session.StopRings(_threads.Length + _polled.Length);
        var isReleased = _session.Close();
        foreach (var queue in Queues) queue.Dispose();
        _setup.FreeMemory(isReleased);
    }

    /// <summary>Gives up the back-end, and disposes: closes the session and rejects the requests in flight. Not on a queue's thread.</summary>
    public void Abandon()
    {
        _session.Close();
        foreach (var queue in Queues) queue.Abandon();
        Dispose();
    }

    private void SetGeometry(DiskGeometry geometry) => Ordered.Store(ref _geometry, geometry);

    private void StartQueues(BusOptions options, QueueThreadOptions thread)
    {
        var offered = _session.OfferedQueues;
        var threads = Math.Clamp(options.Queues, 1, offered);
        for (var i = 0; i < Math.Min(threads + options.PollQueues, offered); i++)
        {
            var queue = _setup.Start(i, i < threads ? i : null, thread);
            if (queue is QueueThread owner) _threads = [.. _threads, owner];
            else _polled = [.. _polled, (PolledQueue)queue];
        }
    }

    // A queue thread keeps to its own queue, where it submits straight into the ring. Other threads are spread evenly by a
    // counter: managed thread ids would not do, since those of one program's threads may all be even.
    private QueueThread QueueThreadForCaller()
    {
        var threads = _threads;
        if (threads.Length == 1) return threads[0];
        // Compared by reference: the thread may belong to a channel that this one replaced.
        if (QueueThread.OfThread is { } own && own.Number < threads.Length && ReferenceEquals(threads[own.Number], own)) return own;
        if (t_submitter == 0) t_submitter = Interlocked.Increment(ref s_submitters);
        return threads[(int)((uint)t_submitter % (uint)threads.Length)];
    }

    private bool TryPoll(BlockRequest request)
    {
        var polled = _polled;
        if (polled.Length == 0 || request.PollingThread != Environment.CurrentManagedThreadId) return false;
        // Starts at the thread's last queue, whose memory is in its cache. Reading OfThread here, on every call, also
        // allocates its thread-static state at the thread's first call.
        var first = QueueThread.OfThread?.Number ?? Environment.CurrentManagedThreadId;
        for (var i = 0; i < polled.Length; i++)
        {
            if (polled[(first + i) % polled.Length].TryRun(request)) return true;
        }
        return false;
    }

    private bool IsOffered(BlockOperation operation) => (Features & operation switch
    {
        BlockOperation.Flush => VirtioBlkFeatures.Flush,
        BlockOperation.Discard => VirtioBlkFeatures.Discard,
        _ => VirtioBlkFeatures.WriteZeroes,
    }) != 0;
}
