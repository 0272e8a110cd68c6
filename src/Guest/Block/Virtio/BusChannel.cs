using System.Runtime.InteropServices;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.BlockDriver.Virtio;

/// <summary>
/// VM-C's end of the bus to one disk: a vhost-user session with VM-H (or any vhost-user-blk back-end), its virtqueues in
/// guest memory, and a thread a queue. Requests may come from any thread; one whose caller polls is run by that, on a queue
/// that has no thread, where one is free.
/// </summary>
internal sealed class BusChannel : IDisposable
{
    // Not IN_ORDER: it would have the device hold back what it finished early behind what it has not, and saves nothing
    // to a driver that keeps its own list of free slots.
    private const VirtioBlkFeatures Wanted =
        VirtioBlkFeatures.Version1 | VirtioBlkFeatures.IndirectDescriptors | VirtioBlkFeatures.EventIndex | VirtioBlkFeatures.ReadOnly
        | VirtioBlkFeatures.BlockSize | VirtioBlkFeatures.Flush | VirtioBlkFeatures.MultiQueue | VirtioBlkFeatures.Discard
        | VirtioBlkFeatures.WriteZeroes | VirtioBlkFeatures.SizeMax | VirtioBlkFeatures.SegMax;

    private const int QueueSize = 128;
    private const int DescriptorsPerTable = 4;
    private const int CloseMilliseconds = 5000;

    // Threads that gave a request to a channel of several queues, so far; and which of them this one was, from 1.
    private static int s_threads;

    [ThreadStatic]
    private static int t_thread;

    private readonly GuestPages _pages;
    private readonly VhostUserFrontend _frontend;
    private readonly List<BusQueue> _queues = [];
    private readonly List<QueueThread> _pumps = [];
    private readonly List<PolledQueue> _polled = [];
    private readonly List<GuestBuffer> _memory = [];
    private readonly Lock _closing = new();
    private bool _closed;
    private bool _letGo;

    private BusChannel(VhostUserFrontend frontend, GuestPages pages)
    {
        _frontend = frontend;
        _pages = pages;
        Features = (VirtioBlkFeatures)frontend.Features;
    }

    /// <summary>The virtio features in use.</summary>
    internal VirtioBlkFeatures Features { get; }

    /// <summary>The device's configuration as it was when the channel opened.</summary>
    internal VirtioBlkConfig Configuration { get; private set; }

    /// <summary>The classes of requests that the back-end does on the ring; all, unless <see cref="Agree"/> found otherwise.</summary>
    internal RequestTypes Implemented { get; private set; } = RequestTypes.All;

    internal DiskGeometry Geometry { get; private set; } = new(0, 0, "", false);

    /// <summary>Where the rings lie in guest memory, for the crash that scribbles over them.</summary>
    internal IReadOnlyList<GuestBuffer> RingMemory => _memory;

    /// <summary>The queues that have a thread.</summary>
    internal int QueueCount => _pumps.Count;

    /// <summary>The queues that callers poll.</summary>
    internal int PollQueues => _polled.Count;

    /// <summary>Of each queue.</summary>
    internal IEnumerable<QueueCounters> Counters => _queues.Select(queue => queue.Counters);

    /// <summary>Opens the channel over a connected socket and starts its queues.</summary>
    /// <param name="socket">Connected to a back-end; owned from now on.</param>
    /// <param name="ram">The memory to share.</param>
    /// <param name="pages">Where rings are allocated.</param>
    /// <param name="options">How many queues are wanted (the back-end may offer fewer), and of which layout.</param>
    /// <param name="thread">What each queue's thread needs.</param>
    /// <exception cref="IOException">The back-end refused, or is no block device.</exception>
    internal static BusChannel Open(UnixConnection socket, GuestRam ram, GuestPages pages, BusOptions options, QueueThreadOptions thread)
    {
        var wanted = Wanted | (options.Layout == RingLayout.Split ? 0 : VirtioBlkFeatures.PackedRing);
        var required = VirtioBlkFeatures.Version1 | (options.Layout == RingLayout.Packed ? VirtioBlkFeatures.PackedRing : 0);
        var frontend = VhostUserFrontend.Open(socket, (ulong)wanted, (ulong)required);
        var channel = new BusChannel(frontend, pages);
        try
        {
            frontend.ShareMemory([.. ram.Parts.Select(p => (p.GuestAddress, p.Size, p.FileOffset))], ram.File);
            channel.ReadConfiguration();
            var available = channel.Features.HasFlag(VirtioBlkFeatures.MultiQueue) ? Math.Min(frontend.QueueCount, channel.Configuration.NumQueues) : 1;
            var queues = Math.Clamp(options.Queues, 1, available);
            for (var i = 0; i < Math.Min(queues + options.PollQueues, available); i++) channel.StartQueue(i, isPolled: i >= queues, thread);
            channel.ListenForChanges();
            return channel;
        }
        catch (InvalidOperationException e)
        {
            // The guest has no memory for another ring: it can try again later.
            channel.Dispose();
            throw new IOException($"there is no room for its rings: {e.Message}", e);
        }
        catch
        {
            channel.Dispose();
            throw;
        }
    }

    /// <summary>Gives a request to a queue. Any thread; a thread keeps to its queue.</summary>
    internal void Submit(BlockRequest request)
    {
        if ((int)request.Operation >= (int)BlockOperation.Flush && !IsPossible(request.Operation))
        {
            request.RequestPath = RequestPath.Ring;
            // A device without FLUSH keeps every write at once (virtio 1.3 §5.2.5).
            // A read-only one offers no way to change the disk, and would refuse as it refuses a write.
            request.Complete(request.Operation == BlockOperation.Flush ? BlockStatus.Ok : Geometry.IsReadOnly ? BlockStatus.IoError : BlockStatus.Unsupported);
            return;
        }
        if (!TryPoll(request)) PumpOfThread().Submit(request);
    }

    /// <summary>Gives a request to a queue, unless that cannot take it now. Any thread.</summary>
    /// <returns>False: the request is still the caller's.</returns>
    internal bool TrySubmit(BlockRequest request)
    {
        if ((int)request.Operation < (int)BlockOperation.Flush || IsPossible(request.Operation)) return TryPoll(request) || PumpOfThread().TrySubmit(request);
        Submit(request);
        return true;
    }

    /// <summary>Has the back-end check which classes of requests will come; <see cref="ShuntAgreement"/> says how.</summary>
    /// <param name="declare">What the shunt will send, given what the back-end does.</param>
    /// <returns>Null, or why they do not agree. A back-end that knows no agreement does all that it offers, and agrees.</returns>
    internal string? Agree(Func<RequestTypes, ShuntDeclaration> declare)
    {
        lock (_closing)
        {
            if (_closed) throw new IOException("the bus was lost while it came up");
            ShuntAgreement area = default;
            if (!_frontend.TryReadConfig(MemoryMarshal.AsBytes(new Span<ShuntAgreement>(ref area)), ShuntAgreement.Offset)
                || area.Magic != ShuntAgreement.ExpectedMagic)
            {
                return null;
            }
            if (area.Version != ShuntAgreement.CurrentVersion)
                return $"VM-H speaks version {area.Version} of the agreement on primary requests, this shunt version {ShuntAgreement.CurrentVersion}";
            Implemented = area.Implemented & RequestTypes.All;
            var declared = declare(Implemented);
            if ((declared.Primary & ~Implemented) is var missing && missing != RequestTypes.None)
            {
                return $"the shunt would send {RequestTypeList.Format(declared.Primary)} over the ring, and VM-H does not do {RequestTypeList.Format(missing)} there; "
                    + $"give the guest --shunt-policy importance --primary {RequestTypeList.Format(Implemented)}, or VM-H --primary {RequestTypeList.Format(declared.Primary | Implemented)}";
            }
            return _frontend.TryWriteConfig(MemoryMarshal.AsBytes(new ReadOnlySpan<ShuntDeclaration>(in declared)), ShuntAgreement.DeclaredOffset)
                ? null
                : $"VM-H refused that the shunt sends {RequestTypeList.Format(declared.Primary)} over the ring; its log says why";
        }
    }

    /// <summary>Lets requests in flight end, stops the rings, and waits until the back-end has let go of the memory.</summary>
    public void Dispose()
    {
        foreach (var queue in _queues) queue.Drain();
        lock (_closing)
        {
            if (!_closed)
            {
                for (var i = 0; i < _queues.Count; i++) StopRing(i);
            }
        }
        CloseSession();
        foreach (var queue in _queues) queue.Dispose();
        // A back-end that does not let go may still write to its rings: their memory is not used again.
        if (_letGo) foreach (var buffer in _memory) _pages.Free(buffer);
        _memory.Clear();
    }

    /// <summary>The back-end is gone, or will be dealt with no more: what it has is rejected.</summary>
    internal void Abandon()
    {
        CloseSession();
        foreach (var queue in _queues) queue.Abandon();
        Dispose();
    }

    // A queue's own thread stays on its queue, where it submits straight into the ring; other threads are dealt to the queues
    // in turns. Not by their ids: those of a program's threads may all be even.
    private QueueThread PumpOfThread()
    {
        var pumps = _pumps;
        if (pumps.Count == 1) return pumps[0];
        // Of this channel, not of one that it replaced.
        if (QueueThread.OfThread is { } own && own.Number < pumps.Count && ReferenceEquals(pumps[own.Number], own)) return own;
        if (t_thread == 0) t_thread = Interlocked.Increment(ref s_threads);
        return pumps[(int)((uint)t_thread % (uint)pumps.Count)];
    }

    private bool TryPoll(BlockRequest request)
    {
        var polled = _polled;
        if (polled.Count == 0 || request is not PolledRequest { IsCallers: true }) return false;
        // A thread comes back to the queue that it had, whose memory is near. Who asks for a pump's thread here has what the runtime
        // keeps for that from its first call on, and not from the first that finds no queue free.
        var first = QueueThread.OfThread?.Number ?? Environment.CurrentManagedThreadId;
        for (var i = 0; i < polled.Count; i++)
        {
            if (polled[(first + i) % polled.Count].TryRun(request)) return true;
        }
        return false;
    }

    private bool IsPossible(BlockOperation operation) => Features.HasFlag(operation switch
    {
        BlockOperation.Flush => VirtioBlkFeatures.Flush,
        BlockOperation.Discard => VirtioBlkFeatures.Discard,
        _ => VirtioBlkFeatures.WriteZeroes,
    });

    private void CloseSession()
    {
        lock (_closing)
        {
            if (_closed) return;
            _closed = true;
            _letGo = _frontend.Close(CloseMilliseconds);
        }
    }

    private void StopRing(int index)
    {
        try
        {
            _frontend.StopRing(index);
        }
        catch (IOException)
        {
            // The back-end is gone; so are its rings.
        }
    }

    private void ListenForChanges()
    {
        if (_frontend.OpenBackendRequests() is not { } requests) return;
        new Thread(() => Listen(requests)) { IsBackground = true, Name = "bus changes" }.Start();
    }

    // Ends with the session: the back-end closes its end then.
    private void Listen(VhostUserConnection requests)
    {
        using (requests)
        {
            try
            {
                while (requests.Receive())
                {
                    var header = requests.Header;
                    if ((VhostUserBackendRequest)header.Request == VhostUserBackendRequest.ConfigChange)
                    {
                        lock (_closing)
                        {
                            if (!_closed) ReadConfiguration();
                        }
                    }
                    if ((header.Flags & VhostUserHeader.NeedReply) != 0) requests.Send(header.Request, VhostUserHeader.Reply, 0UL);
                }
            }
            catch (IOException)
            {
                // The back-end is gone, or talks nonsense; the rings find out for themselves.
            }
        }
    }

    private void ReadConfiguration()
    {
        VirtioBlkConfig config = default;
        if (!_frontend.TryReadConfig(MemoryMarshal.AsBytes(new Span<VirtioBlkConfig>(ref config))[..VirtioBlkConfig.BytesFor(Features)]))
            throw new IOException("the back-end has no virtio-blk configuration space; is it a block device?");
        Configuration = config;
        var transfer = Features.HasFlag(VirtioBlkFeatures.SizeMax) && config.SizeMax > 0 ? (int)Math.Min(config.SizeMax / 512 * 512, DiskClassDriver.MaxTransferBytes) : DiskClassDriver.MaxTransferBytes;
        Geometry = new DiskGeometry(config.Capacity, transfer, "", Features.HasFlag(VirtioBlkFeatures.ReadOnly));
    }

    private void StartQueue(int index, bool isPolled, QueueThreadOptions thread)
    {
        var indirect = Features.HasFlag(VirtioBlkFeatures.IndirectDescriptors);
        var eventIndex = Features.HasFlag(VirtioBlkFeatures.EventIndex);
        var tables = indirect ? Allocate(QueueSize * DescriptorsPerTable * SplitDescriptor.Bytes) : default;
        var tablesWindow = indirect ? tables.Window : default;
        var tablesAddress = indirect ? tables.Address : 0;
        if (Features.HasFlag(VirtioBlkFeatures.PackedRing))
        {
            var ring = AllocateRing(PackedLayout.DescriptorBytes(QueueSize), PackedLayout.EventBytes, PackedLayout.EventBytes);
            var areas = new PackedAreas(ring.Descriptors.Window, ring.Driver.Window, ring.Device.Window);
            Start(index, new PackedDriverQueue(areas, QueueSize, eventIndex, tablesWindow, tablesAddress), PackedLayout.StartPosition, ring, isPolled, thread);
        }
        else
        {
            var ring = AllocateRing(SplitLayout.DescriptorBytes(QueueSize), SplitLayout.AvailableBytes(QueueSize), SplitLayout.UsedBytes(QueueSize));
            var areas = new SplitAreas(ring.Descriptors.Window, ring.Driver.Window, ring.Device.Window);
            Start(index, new SplitDriverQueue(areas, QueueSize, eventIndex, tablesWindow, tablesAddress), 0, ring, isPolled, thread);
        }
    }

    private void Start<TQueue>(int index, TQueue queue, uint position, in RingAreas ring, bool isPolled, QueueThreadOptions thread) where TQueue : struct, IDriverQueue
    {
        var slots = new RingSlots(queue.Capacity, Allocate(RingSlots.RequiredBytes(queue.Capacity)));
        var kick = EventFd.Create();
        var call = EventFd.Create();
        _frontend.StartRing(index, QueueSize, position, ring.Descriptors.Address, ring.Driver.Address, ring.Device.Address, kick, call);
        var settings = thread with { Lost = Lose };
        if (isPolled) _polled.Add(new PolledQueue<TQueue>(queue, slots, kick, call, _frontend.Handle, settings));
        else _pumps.Add(new QueueThread<TQueue>(_pumps.Count, queue, slots, kick, call, _frontend.Handle, settings));
        _queues.Add(isPolled ? _polled[^1] : _pumps[^1]);

        void Lose(string why)
        {
            CloseSession();
            thread.Lost(why);
        }
    }

    private RingAreas AllocateRing(int descriptors, int driver, int device) => new(Allocate(descriptors), Allocate(driver), Allocate(device));

    private GuestBuffer Allocate(int bytes)
    {
        var buffer = _pages.Allocate(bytes);
        _memory.Add(buffer);
        return buffer;
    }

    private readonly record struct RingAreas(GuestBuffer Descriptors, GuestBuffer Driver, GuestBuffer Device);
}
