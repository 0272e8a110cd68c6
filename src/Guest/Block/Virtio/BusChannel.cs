using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.BlockDriver.Virtio;

/// <summary>
/// VM-C's end of the bus to one disk: a session with VM-H, or any vhost-user-blk back-end, and its virtqueues. It routes
/// each request to a queue. A polled call runs on a free queue without a thread; other requests go to a queue thread. Any
/// thread.
/// </summary>
internal sealed class BusChannel : IDisposable
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
    internal VirtioBlkFeatures Features { get; }

    /// <summary>The request types that the back-end implements on the ring; all until <see cref="Agree"/> has run, which is before the channel is shared.</summary>
    internal RequestTypes Implemented { get; private set; } = RequestTypes.All;

    /// <summary>The disk's geometry, as of the last configuration change. Acquire: a reader sees the record complete.</summary>
    internal DiskGeometry Geometry => Ordered.Load(ref _geometry);

    /// <summary>The rings in guest memory, for the crash command that overwrites them.</summary>
    internal IReadOnlyList<GuestBuffer> RingMemory => _setup.Memory;

    /// <summary>The number of queues with a thread.</summary>
    internal int QueueCount => _threads.Length;

    /// <summary>The number of queues that callers poll.</summary>
    internal int PollQueues => _polled.Length;

    /// <summary>The counters of each queue.</summary>
    internal IEnumerable<QueueCounters> Counters => Queues.Select(static queue => queue.Counters);

    private IEnumerable<BusQueue> Queues => [.. _threads, .. _polled];

    /// <summary>Opens the channel over a connected socket and starts its queues.</summary>
    /// <param name="socket">Connected to a back-end; owned by the channel from now on.</param>
    /// <param name="ram">The memory to share.</param>
    /// <param name="pages">The allocator of ring memory.</param>
    /// <param name="options">The number of queues, which the back-end may limit, and their layout.</param>
    /// <param name="thread">The options of each queue.</param>
    /// <exception cref="IOException">The back-end rejected the session, or is not a block device.</exception>
    internal static BusChannel Open(UnixConnection socket, GuestRam ram, GuestPages pages, BusOptions options, QueueThreadOptions thread)
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

    /// <summary>Submits a request to a queue. Any thread; a thread keeps to one queue.</summary>
    internal void Submit(BlockRequest request)
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
    /// <returns>False: the request is still the caller's.</returns>
    internal bool TrySubmit(BlockRequest request)
    {
        if ((int)request.Operation < (int)BlockOperation.Flush || IsOffered(request.Operation)) return TryPoll(request) || QueueThreadForCaller().TrySubmit(request);
        Submit(request);
        return true;
    }

    /// <summary>Checks with the back-end which request types will come; see <see cref="BusSession.Agree"/>.</summary>
    /// <returns>Null if they agree, otherwise the reason.</returns>
    internal string? Agree(Func<RequestTypes, ShuntDeclaration> declare)
    {
        var disagreement = _session.Agree(declare, out var implemented);
        Implemented = implemented;
        return disagreement;
    }

    /// <summary>Drains the queues, stops the rings, and waits until the back-end has released the memory.</summary>
    public void Dispose()
    {
        foreach (var queue in Queues) queue.Drain();
        _session.StopRings(_threads.Length + _polled.Length);
        var isReleased = _session.Close();
        foreach (var queue in Queues) queue.Dispose();
        _setup.FreeMemory(isReleased);
    }

    /// <summary>Gives up the back-end: closes the session and rejects the requests in flight.</summary>
    internal void Abandon()
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
        if (polled.Length == 0 || request is not PolledRequest { IsCallers: true }) return false;
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
