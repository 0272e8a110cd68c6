using System.Runtime.InteropServices;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Ring.Virtqueue;

namespace VmShunt.Tests.Doubles;

/// <summary>
/// The bottom of a stack: one polled queue, and at the other end of its ring an array as the disk, served by the test or by
/// a thread. Callers retry while the queue is in use.
/// </summary>
internal sealed class DeviceOfPolledQueue<TKind, TDriver, TDevice> : IBlockDriver, IDisposable
    where TKind : IRingKind<TDriver, TDevice>
    where TDriver : struct, IDriverQueue
    where TDevice : struct, IDeviceQueue
{
    internal const int Sectors = 64;

    private const int DataOffset = 0x4000, RingSize = 16;

    private readonly QueuePair<TKind, TDriver, TDevice> _pair;
    private readonly EventFd _kick = EventFd.Create(), _call = EventFd.Create();
    private readonly UnixConnection _mine, _its;
    private readonly byte[] _disk = new byte[Sectors * 512];
    private readonly SharedFlag _stop = new();
    private readonly ManualResetEventSlim _disarmed = new();
    private Thread? _device;
    private Exception? _fault;
    private string? _lost;

    /// <param name="wait">The wait strategy of callers.</param>
    /// <param name="crash">Stops callers.</param>
    /// <param name="lost">Called when the device disconnects or fails; null: that fails the test.</param>
    /// <param name="eventIndex">Whether VIRTIO_F_EVENT_IDX was negotiated.</param>
    internal DeviceOfPolledQueue(WaitPolicy wait, CrashGate crash, Action<string>? lost = null, bool eventIndex = true)
    {
        _pair = new QueuePair<TKind, TDriver, TDevice>(new QueueOptions(RingSize, Indirect: true, eventIndex), 1 << 16);
        (_mine, _its) = UnixConnection.CreatePair();
        var capacity = _pair.Driver.Capacity;
        var slots = new RingSlots(capacity, new GuestBuffer(_pair.Ram.Memory, _pair.Data, RingSlots.RequiredBytes(capacity)));
        var settings = new QueueThreadOptions(wait, crash, static () => { }, static () => { }, lost ?? (why => _lost = why), static _ => { });
        Queue = new PolledQueue<TDriver>(_pair.Driver, slots, _kick, _call, _mine.Handle, settings);
    }

    public DiskGeometry Geometry { get; } = new(Sectors, 1 << 20, "TEST", IsReadOnly: false);

    internal PolledQueue Queue { get; }

    /// <summary>Takes requests that the queue rejects; null: they fail.</summary>
    internal IBlockDriver? Fallback { get; init; }

    /// <summary>Takes requests once the queue is closed.</summary>
    internal RecordingDriver Closed { get; } = new(completesAtOnce: true);

    internal int Flushes { get; private set; }

    internal GuestBuffer Buffer(int index, int bytes) => new(_pair.Ram.Memory, _pair.Data + (ulong)(DataOffset + index * 4096), bytes);

    public void Submit(BlockRequest request)
    {
        request.Fallback = Fallback;
        while (!Queue.TryRun(request))
        {
            if (IsClosed)
            {
                Closed.Submit(request);
                return;
            }
            Thread.Yield();
        }
    }

    /// <summary>Set by the test: the queue accepts no more requests.</summary>
    internal bool IsClosed { get; set; }

    /// <summary>Disconnects the device, as when its process exits.</summary>
    internal void HangUp() => _its.Dispose();

    /// <summary>Overwrites the whole ring, as a faulty device does.</summary>
    internal void Scribble() => _pair.Ram.Span(TestMemory.Start, TKind.RingBytes(RingSize)).Fill(0xFF);

    /// <summary>Waits for a request and pops it.</summary>
    internal void Take()
    {
        var take = PopResult.Empty;
        Assert.True(SpinWait.SpinUntil(() => (take = _pair.Device.TryPop(_pair.Chain)) != PopResult.Empty, TimeSpan.FromSeconds(60)));
        Assert.Equal(PopResult.Popped, take);
    }

    /// <summary>Executes the popped request and returns its chain.</summary>
    internal void Return(VirtioBlkStatus status = VirtioBlkStatus.Ok)
    {
        var handle = _pair.Chain.Handle;
        var written = Do(status);
        Assert.Equal(PopResult.Empty, _pair.Device.TryPop(_pair.Chain));
        _pair.Device.Return(handle, written);
        if (_pair.Device.Publish()) _call.Signal();
    }

    /// <summary>Executes all requests on a thread from now on, some of them slowly.</summary>
    internal void Start(WaitPolicy wait, int seed)
    {
        _device = new Thread(() =>
        {
            try
            {
                Run(wait, new Random(seed));
            }
            catch (Exception e)
            {
                _fault = e;
            }
        });
        _device.Start();
        // Before that a driver kicks it, however it waits.
        Assert.True(_disarmed.Wait(TimeSpan.FromSeconds(60)), "the device does not start");
    }

    public void Dispose()
    {
        _stop.Raise();
        _kick.Signal();
        _device?.Join();
        _disarmed.Dispose();
        Queue.Dispose();
        _mine.Dispose();
        _its.Dispose();
        _pair.Dispose();
        Assert.Null(_fault);
        Assert.Null(_lost);
    }

    private void Run(WaitPolicy wait, Random random)
    {
        using var sleep = new WaitSet(_kick.Handle);
        var spin = new SpinBudget(wait, SpinBudget.DefaultSpin, mayMove: false);
        _pair.Device.Disarm();
        _disarmed.Set();
        while (!_stop.IsRaised)
        {
            if (_pair.Device.TryPop(_pair.Chain) == PopResult.Popped)
            {
                // Long enough for a caller to block.
                if (random.Next(64) == 0) Thread.Sleep(1);
                Return();
                spin.Refill();
            }
            else if (!spin.TrySpin())
            {
                if (!_pair.Device.Arm()) sleep.Wait(60_000);
                _kick.TryDrain();
                _pair.Device.Disarm();
                spin.Refill();
            }
        }
    }

    private uint Do(VirtioBlkStatus status)
    {
        var chain = _pair.Chain;
        var header = MemoryMarshal.Read<VirtioBlkRequestHeader>(Bytes(chain.Readable[0]));
        var end = Bytes(chain.Writable[^1]);
        Assert.Equal(1, end.Length);
        end[0] = (byte)status;
        var at = _disk.AsSpan((int)header.Sector * 512);
        switch (header.Type)
        {
            case VirtioBlkRequestType.In:
                var target = Bytes(chain.Writable[0]);
                at[..target.Length].CopyTo(target);
                return (uint)target.Length + 1;
            case VirtioBlkRequestType.Out:
                Bytes(chain.Readable[1]).CopyTo(at);
                return 1;
            default:
                Assert.Equal(VirtioBlkRequestType.Flush, header.Type);
                Flushes++;
                return 1;
        }
    }

    private Span<byte> Bytes(DescriptorChain.Segment segment) => _pair.Ram.Span(segment.Address, (int)segment.Length);
}
