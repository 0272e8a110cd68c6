using System.Numerics;
using System.Runtime.InteropServices;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.BlockDriver.Virtio;

/// <summary>
/// The vhost-user session of one channel: features, configuration space and its changes, start and stop of rings, and the
/// agreement on primary requests. Any thread; the lock keeps each message and its reply together.
/// </summary>
internal sealed class BusSession
{
    // Not IN_ORDER: the device would have to hold back early completions, and a driver with its own list of free slots
    // gains nothing.
    private const VirtioBlkFeatures Wanted =
        VirtioBlkFeatures.Version1 | VirtioBlkFeatures.IndirectDescriptors | VirtioBlkFeatures.EventIndex | VirtioBlkFeatures.ReadOnly
        | VirtioBlkFeatures.BlockSize | VirtioBlkFeatures.Flush | VirtioBlkFeatures.MultiQueue | VirtioBlkFeatures.Discard
        | VirtioBlkFeatures.WriteZeroes | VirtioBlkFeatures.SizeMax | VirtioBlkFeatures.SegMax;

    private const int CloseMilliseconds = 5000;

    // The offers of a back-end are not trusted. No disk has larger blocks.
    private const uint MaxBlockBytes = 1 << 16;

    private readonly VhostUserFrontend _frontend;
    private readonly Lock _lock = new();
    private bool _closed;
    private bool _memoryReleased;

    private BusSession(VhostUserFrontend frontend)
    {
        _frontend = frontend;
        Features = (VirtioBlkFeatures)frontend.Features;
    }

    /// <summary>The negotiated virtio features.</summary>
    internal VirtioBlkFeatures Features { get; }

    /// <summary>The number of queues that the back-end offers, once its configuration was read.</summary>
    internal int OfferedQueues { get; private set; } = 1;

    /// <summary>The socket; it hangs up when the back-end's process exits.</summary>
    internal SafeHandle Peer => _frontend.Handle;

    /// <summary>Opens a session and negotiates features.</summary>
    /// <param name="socket">Connected to a back-end; owned by the session from now on.</param>
    /// <param name="layout">The ring layout to negotiate.</param>
    /// <exception cref="IOException">The back-end rejected the session.</exception>
    internal static BusSession Open(UnixConnection socket, RingLayout layout)
    {
        var wanted = Wanted | (layout == RingLayout.Split ? 0 : VirtioBlkFeatures.PackedRing);
        var required = VirtioBlkFeatures.Version1 | (layout == RingLayout.Packed ? VirtioBlkFeatures.PackedRing : 0);
        return new BusSession(VhostUserFrontend.Open(socket, (ulong)wanted, (ulong)required));
    }

    /// <summary>Shares the guest's memory and reads the configuration. Before rings are started.</summary>
    /// <returns>The disk's geometry.</returns>
    /// <exception cref="IOException">The back-end is not a block device.</exception>
    internal DiskGeometry ShareMemory(GuestRam ram)
    {
        _frontend.ShareMemory([.. ram.Parts.Select(p => (p.GuestAddress, p.Size, p.FileOffset))], ram.File);
        var config = ReadConfiguration();
        if (Features.HasFlag(VirtioBlkFeatures.MultiQueue)) OfferedQueues = Math.Min(_frontend.QueueCount, config.NumQueues);
        return GeometryOf(config);
    }

    /// <summary>Starts a ring. During set-up only: the session does not listen for changes yet.</summary>
    internal void StartRing(int index, int size, uint position, ulong descriptors, ulong driver, ulong device, EventFd kick, EventFd call) =>
        _frontend.StartRing(index, size, position, descriptors, driver, device, kick, call);

    /// <summary>Stops the rings of an open session; the back-end has then returned every descriptor chain.</summary>
    internal void StopRings(int count)
    {
        lock (_lock)
        {
            if (_closed) return;
            for (var i = 0; i < count; i++) StopRing(i);
        }
    }

    /// <summary>Starts a thread that reports configuration changes, such as a resize, until the session closes.</summary>
    internal void ListenForChanges(Action<DiskGeometry> changed)
    {
        if (_frontend.OpenBackendRequests() is not { } requests) return;
        new Thread(() => Listen(requests, changed)) { IsBackground = true, Name = "bus changes" }.Start();
    }

    /// <summary>Checks with the back-end which request types will come; <see cref="ShuntAgreement"/> has the protocol.</summary>
    /// <param name="declare">The shunt's declaration, given the request types that the back-end implements.</param>
    /// <param name="implemented">The request types that the back-end implements on the ring; all if it does not say.</param>
    /// <returns>Null if they agree, otherwise the reason. A back-end without the agreement implements all that it offers.</returns>
    internal string? Agree(Func<RequestTypes, ShuntDeclaration> declare, out RequestTypes implemented)
    {
        implemented = RequestTypes.All;
        lock (_lock)
        {
            if (_closed) throw new IOException("the bus was lost during set-up");
            ShuntAgreement area = default;
            if (!_frontend.TryReadConfig(MemoryMarshal.AsBytes(new Span<ShuntAgreement>(ref area)), ShuntAgreement.Offset)
                || area.Magic != ShuntAgreement.ExpectedMagic)
            {
                return null;
            }
            if (area.Version != ShuntAgreement.CurrentVersion)
                return $"VM-H implements version {area.Version} of the agreement on primary requests, this shunt version {ShuntAgreement.CurrentVersion}";
            implemented = area.Implemented & RequestTypes.All;
            var declared = declare(implemented);
            if ((declared.Primary & ~implemented) is var missing && missing != RequestTypes.None)
            {
                return $"the shunt would send {RequestTypeList.Format(declared.Primary)} over the ring, where VM-H does not implement {RequestTypeList.Format(missing)}; "
                    + $"start the guest with --shunt-policy importance --primary {RequestTypeList.Format(implemented)}, or VM-H with --primary {RequestTypeList.Format(declared.Primary | implemented)}";
            }
            return _frontend.TryWriteConfig(MemoryMarshal.AsBytes(new ReadOnlySpan<ShuntDeclaration>(in declared)), ShuntAgreement.DeclaredOffset)
                ? null
                : $"VM-H rejected the shunt's declaration to send {RequestTypeList.Format(declared.Primary)} over the ring; its log has the reason";
        }
    }

    /// <summary>Closes the session and waits until the back-end closes its end.</summary>
    /// <returns>Whether the back-end has released the guest's memory.</returns>
    internal bool Close()
    {
        lock (_lock)
        {
            if (!_closed)
            {
                _closed = true;
                _memoryReleased = _frontend.Close(CloseMilliseconds);
            }
            return _memoryReleased;
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
            // A back-end that has exited has stopped its rings.
        }
    }

    // Returns when the back-end closes its end.
    private void Listen(VhostUserConnection requests, Action<DiskGeometry> changed)
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
                        lock (_lock)
                        {
                            if (!_closed) changed(GeometryOf(ReadConfiguration()));
                        }
                    }
                    if ((header.Flags & VhostUserHeader.NeedReply) != 0) requests.Send(header.Request, VhostUserHeader.Reply, 0UL);
                }
            }
            catch (IOException)
            {
                // The back-end exited or broke the protocol. The queues detect a lost back-end on their own.
            }
        }
    }

    private VirtioBlkConfig ReadConfiguration()
    {
        VirtioBlkConfig config = default;
        if (!_frontend.TryReadConfig(MemoryMarshal.AsBytes(new Span<VirtioBlkConfig>(ref config))[..VirtioBlkConfig.BytesFor(Features)]))
            throw new IOException("the back-end has no virtio-blk configuration space; is it a block device?");
        return config;
    }

    private DiskGeometry GeometryOf(in VirtioBlkConfig config)
    {
        var transfer = Features.HasFlag(VirtioBlkFeatures.SizeMax) && config.SizeMax > 0 ? (int)Math.Min(config.SizeMax / 512 * 512, DiskGeometry.LongestTransferBytes) : DiskGeometry.LongestTransferBytes;
        return new DiskGeometry(config.Capacity, transfer, "", Features.HasFlag(VirtioBlkFeatures.ReadOnly))
        {
            LogicalBlockBytes = Features.HasFlag(VirtioBlkFeatures.BlockSize) && IsBlockSize(config.BlockSize) ? (int)config.BlockSize : DiskGeometry.SectorBytes,
            MaxDiscardBytes = Limit(Features.HasFlag(VirtioBlkFeatures.Discard) ? config.MaxDiscardSectors : 0, DiskGeometry.LongestDiscardBytes),
            MaxWriteZeroesBytes = Limit(Features.HasFlag(VirtioBlkFeatures.WriteZeroes) ? config.MaxWriteZeroesSectors : 0, DiskGeometry.LongestWriteZeroesBytes),
        };
    }

    private static bool IsBlockSize(uint bytes) => bytes is >= DiskGeometry.SectorBytes and <= MaxBlockBytes && BitOperations.IsPow2(bytes);

    // 0: the device does not say.
    private static int Limit(uint sectors, int most) => sectors == 0 ? most : (int)Math.Min(sectors * (ulong)DiskGeometry.SectorBytes, (ulong)most);
}
