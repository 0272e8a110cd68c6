using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockBackend.VirtioBlk;
using VmShunt.BlockBackend.VirtioBlk.Serving;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Serving;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Tests.Doubles;

/// <summary>A virtio-blk device on a vhost-user session, and a driver of its first ring (split) on the other end of the session.</summary>
internal sealed class BlkSession : IDisposable
{
    internal const int QueueSize = 16, MaxQueueSize = 128;

    // A front-end's, not a driver's (vhost-user, VHOST_F_LOG_ALL).
    private const VirtioBlkFeatures LogAll = (VirtioBlkFeatures)(1UL << 26);

    internal const VirtioBlkFeatures Everything = (VirtioBlkFeatures)ulong.MaxValue & ~(VirtioBlkFeatures.PackedRing | VirtioBlkFeatures.EventIndex | LogAll);

    private const ulong Base = TestMemory.Start, Available = Base + 0x1000, Used = Base + 0x2000, Headers = Base + 0x4000;
    private const int RamBytes = 1 << 20;

    /// <summary>The start of the data buffers.</summary>
    internal const ulong Data = Base + 0x1_0000;

    private static readonly PollGroups s_none = new(0, WaitPolicy.Never);

    private readonly TestMemory _ram = new(RamBytes);
    private readonly VirtioBlkDevice _device;
    private readonly VhostUserBackend _backend;
    private readonly VhostUserConnection _raw;
    private readonly Thread _thread;
    private readonly EventFd _kick = EventFd.Create(), _call = EventFd.Create();
    private SplitDriverQueue _queue;

    /// <param name="disk">Not owned.</param>
    /// <param name="wanted">The features to accept of those offered.</param>
    /// <param name="log">The device's log.</param>
    /// <param name="implemented">The request types that the device carries out.</param>
    /// <param name="pollers">The poll groups; by default each ring has a dedicated thread. Not owned.</param>
    internal BlkSession(
        VirtualizationDriver disk, VirtioBlkFeatures wanted = Everything, ILogger? log = null, RequestTypes implemented = RequestTypes.All, PollGroups? pollers = null)
    {
        _device = new VirtioBlkDevice(disk, 2, MaxQueueSize, implemented);
        var (mine, its) = UnixConnection.CreatePair();
        var blk = new VhostUserBlkDevice(_device, 2, MaxQueueSize, WaitPolicy.Never, pollers ?? s_none, log ?? NullLogger.Instance);
        _backend = new VhostUserBackend(new VhostUserConnection(its), blk, _ => { });
        disk.CapacityChanged += _backend.NotifyConfigChanged;
        _thread = new Thread(() =>
        {
            _backend.Run();
            disk.CapacityChanged -= _backend.NotifyConfigChanged;
            _backend.Dispose();
            _device.Dispose();
        });
        _thread.Start();
        _raw = new VhostUserConnection(mine);
        Frontend = VhostUserFrontend.Open(mine, (ulong)wanted & ~(1UL << 30), (ulong)VirtioBlkFeatures.Version1);
        Frontend.ShareMemory([(TestMemory.Start, RamBytes, 0)], _ram.File);
        var areas = new SplitAreas(
            _ram.Window(Base, SplitLayout.DescriptorBytes(QueueSize)),
            _ram.Window(Available, SplitLayout.AvailableBytes(QueueSize)),
            _ram.Window(Used, SplitLayout.UsedBytes(QueueSize)));
        _queue = new SplitDriverQueue(areas, QueueSize, eventIndex: false);
    }

    internal VhostUserFrontend Frontend { get; }

    internal VirtioBlkFeatures Features => (VirtioBlkFeatures)Frontend.Features;

    internal VirtioBlkConfig Config
    {
        get
        {
            VirtioBlkConfig config = default;
            Assert.True(Frontend.TryReadConfig(MemoryMarshal.AsBytes(new Span<VirtioBlkConfig>(ref config))));
            return config;
        }
    }

    /// <summary>SET_CONFIG, as a front-end sends it when the driver writes configuration space.</summary>
    /// <exception cref="IOException">The device rejected it.</exception>
    internal void WriteConfig(int offset, ReadOnlySpan<byte> value)
    {
        var payload = new byte[VhostUserConfigHeader.Bytes + value.Length];
        MemoryMarshal.Write(payload, new VhostUserConfigHeader { Offset = (uint)offset, Size = (uint)value.Length });
        value.CopyTo(payload.AsSpan(VhostUserConfigHeader.Bytes));
        _raw.Send(VhostUserRequest.SetConfig, VhostUserHeader.NeedReply, payload);
        Assert.True(_raw.Receive());
        if (_raw.PayloadAs<ulong>() != 0) throw new IOException("SET_CONFIG was rejected");
    }

    /// <summary>RESET_DEVICE, as a front-end sends it when the driver resets the device.</summary>
    internal void Reset()
    {
        _raw.Send(VhostUserRequest.ResetDevice, VhostUserHeader.NeedReply, []);
        Assert.True(_raw.Receive());
        Assert.Equal(0UL, _raw.PayloadAs<ulong>());
    }

    internal Span<byte> Ram(ulong address, int bytes) => _ram.Span(address, bytes);

    internal BlkSession Start(uint position = 0)
    {
        Frontend.StartRing(0, QueueSize, position, Base, Available, Used, _kick, _call);
        return this;
    }

    /// <summary>Submits a request with one data buffer.</summary>
    internal void Submit(ushort token, VirtioBlkRequestType type, ulong sector, int bytes)
    {
        var header = Headers + token * 64UL;
        Assert.True(_ram.Memory.TryWrite(header, new VirtioBlkRequestHeader { Type = type, Sector = sector }));
        Assert.True(_ram.Memory.TryWrite(header + 32, byte.MaxValue));
        var deviceWrites = type is VirtioBlkRequestType.In or VirtioBlkRequestType.GetId;
        QueueBuffer[] buffers = bytes == 0
            ? [new(header, VirtioBlkRequestHeader.Bytes), new(header + 32, 1)]
            : [new(header, VirtioBlkRequestHeader.Bytes), new(Data + token * 0x1_0000UL, (uint)bytes), new(header + 32, 1)];
        Assert.True(_queue.TryAdd(buffers, deviceWrites || bytes == 0 ? 1 : 2, token));
        if (_queue.Publish()) _kick.Signal();
    }

    /// <summary>Waits for the next completion.</summary>
    internal (ushort Token, VirtioBlkStatus Status, uint Written) Complete()
    {
        using var sleep = new WaitSet(_call.Handle);
        ushort token;
        uint written;
        while (_queue.TryPopUsed(out token, out written) == PopResult.Empty)
        {
            if (_queue.Arm()) continue;
            Assert.True(sleep.Wait(60_000), "no completion");
            _call.TryDrain();
        }
        Assert.Null(_queue.Fault);
        Assert.True(_ram.Memory.TryRead<VirtioBlkStatus>(Headers + token * 64UL + 32, out var status));
        return (token, status, written);
    }

    /// <summary>Whether the session's thread is blocked: it waits for a ring to stop.</summary>
    internal bool IsStopping => _thread.ThreadState.HasFlag(ThreadState.WaitSleepJoin);

    /// <summary>
    /// Shares an in-flight record with the back-end, which says that a previous back-end popped the first of the submitted
    /// chains (vhost-user, <c>QueueRegionSplit</c>).
    /// </summary>
    internal void SetInflight(int popped)
    {
        Span<byte> payload = stackalloc byte[VhostUserInflight.Bytes];
        MemoryMarshal.Write(payload, new VhostUserInflight { QueueCount = 2, QueueSize = QueueSize });
        _raw.Send(VhostUserRequest.GetInflightFd, 0, payload);
        Assert.True(_raw.Receive());
        using var file = _raw.TakeDescriptor();
        Assert.NotNull(file);
        var inflight = MemoryMarshal.Read<VhostUserInflight>(_raw.Payload);
        using (var region = MemoryRegion.Map(file, 0, inflight.MmapSize, 0))
        using (var memory = new GuestMemory(region))
        {
            Assert.True(memory.TryWrite<ushort>(8, 1));
            Assert.True(memory.TryWrite<ushort>(10, QueueSize));
            for (var i = 0; i < popped; i++)
            {
                Assert.True(_ram.Memory.TryRead<ushort>(Available + 4 + (ulong)i * 2, out var head));
                Assert.True(memory.TryWrite<byte>(16 + 16UL * head, 1));
                Assert.True(memory.TryWrite(16 + 16UL * head + 8, (ulong)i));
            }
        }
        MemoryMarshal.Write(payload, inflight);
        _raw.Send(VhostUserRequest.SetInflightFd, VhostUserHeader.NeedReply, payload, [file]);
        Assert.True(_raw.Receive());
        Assert.Equal(0UL, _raw.PayloadAs<ulong>());
    }

    internal bool HasCompletion => _queue.Arm();

    internal VirtioBlkStatus Do(VirtioBlkRequestType type, ulong sector = 0, int bytes = 0)
    {
        Submit(0, type, sector, bytes);
        return Complete().Status;
    }

    internal VirtioBlkStatus Range(VirtioBlkRequestType type, params ReadOnlySpan<VirtioBlkRange> ranges)
    {
        MemoryMarshal.AsBytes(ranges).CopyTo(Ram(Data, ranges.Length * VirtioBlkRange.Bytes));
        return Do(type, 0, ranges.Length * VirtioBlkRange.Bytes);
    }

    public void Dispose()
    {
        Frontend.Dispose();
        Assert.True(_thread.Join(60_000), "the session does not close");
        _kick.Dispose();
        _call.Dispose();
        _ram.Dispose();
    }
}
