using System.Collections.Concurrent;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>A device of two rings that copies the readable buffers into the writable ones, and records how it was set up.</summary>
internal sealed class EchoDevice : IVhostUserDevice
{
    internal const int ConfigBytes = 60, WritableByte = 32;

    internal byte[] Config { get; } = [.. Enumerable.Range(1, ConfigBytes).Select(i => (byte)i)];

    internal ConcurrentQueue<VringSetup> Setups { get; } = new();

    public ulong Features { get; init; } =
        (ulong)(VirtioBlkFeatures.Version1 | VirtioBlkFeatures.EventIndex | VirtioBlkFeatures.IndirectDescriptors);

    /// <summary>The features that the front-end set last.</summary>
    internal ulong Chosen { get; private set; }

    public int QueueCount => 2;

    public int MaxQueueSize => 256;

    /// <summary>Runs on the ring's thread between the pop and the return of a chain.</summary>
    internal Action? Processing
    {
        get => Ordered.Load(ref _processing);
        set => Ordered.Store(ref _processing, value);
    }

    /// <summary>How many rings are served.</summary>
    internal int Running => Ordered.Load(ref _running);

    private int _running;
    private Action? _processing;

    public void FeaturesChosen(ulong features) => Chosen = features;

    public bool TryReadConfig(int offset, Span<byte> target)
    {
        if (offset < 0 || offset > ConfigBytes || target.Length > ConfigBytes - offset) return false;
        Config.AsSpan(offset, target.Length).CopyTo(target);
        return true;
    }

    public bool TryWriteConfig(int offset, ReadOnlySpan<byte> source)
    {
        if (offset != WritableByte || source.Length != 1) return false;
        Config[offset] = source[0];
        return true;
    }

    public IRunningVring Start(VringSetup setup)
    {
        Setups.Enqueue(setup);
        Interlocked.Increment(ref _running);
        return new EchoRing(this, setup, () => Interlocked.Decrement(ref _running));
    }

    private sealed class EchoRing : IRunningVring
    {
        private readonly EchoDevice _device;
        private readonly VringSetup _setup;
        private readonly Action _stopped;
        private readonly SharedFlag _stopping = new();
        private readonly EventFd _wake = EventFd.Create();
        private readonly Thread _thread;
        private SplitDeviceQueue _queue;

        internal EchoRing(EchoDevice device, VringSetup setup, Action stopped)
        {
            _device = device;
            _setup = setup;
            _stopped = stopped;
            var features = (VirtioBlkFeatures)setup.Features;
            _queue = new SplitDeviceQueue(
                setup.Memory,
                new SplitAreas(setup.Descriptors, setup.Driver, setup.Device),
                setup.Size,
                (ushort)setup.Position,
                features.HasFlag(VirtioBlkFeatures.IndirectDescriptors),
                features.HasFlag(VirtioBlkFeatures.EventIndex));
            _thread = new Thread(Run) { IsBackground = true };
            _thread.Start();
        }

        public uint Stop()
        {
            _stopping.Raise();
            _wake.Signal();
            _thread.Join();
            _wake.Dispose();
            _stopped();
            return _queue.Position;
        }

        private void Run()
        {
            using var sleep = _setup.Kick is { } kick ? new WaitSet(_wake.Handle, kick.Handle) : new WaitSet(_wake.Handle);
            var chain = new DescriptorChain();
            IoVectors source = new(), target = new();
            var bytes = new byte[4096];
            while (!_stopping.IsRaised)
            {
                var found = _queue.TryPop(chain);
                if (found == PopResult.Popped)
                {
                    _device.Processing?.Invoke();
                    source.Clear();
                    target.Clear();
                    var mapped = true;
                    foreach (var s in chain.Readable) mapped &= _setup.Memory.TryAppend(s.Address, s.Length, false, source);
                    foreach (var s in chain.Writable) mapped &= _setup.Memory.TryAppend(s.Address, s.Length, true, target);
                    var written = mapped ? target.CopyFrom(bytes.AsSpan(0, source.CopyTo(bytes))) : 0;
                    _queue.Return(chain.Handle, (uint)written);
                    if (_queue.Publish()) _setup.Call?.Signal();
                }
                else if (found == PopResult.Broken)
                {
                    _setup.Error?.Signal();
                    sleep.Wait(20);
                }
                else if (!_queue.Arm())
                {
                    // Without a kick eventfd the ring is polled.
                    sleep.Wait(_setup.Kick is null ? 1 : -1);
                    _setup.Kick?.TryDrain();
                }
            }
        }
    }
}
