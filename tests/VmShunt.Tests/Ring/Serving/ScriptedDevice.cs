using System.Collections.Concurrent;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Serving;
using Queue = VmShunt.Ring.Serving.Virtqueue;

namespace VmShunt.Tests.Ring.Serving;

/// <summary>A device that does what a test says; by default it copies the readable buffers into the writable ones. It records its calls.</summary>
internal sealed class ScriptedDevice : VirtioDevice, IDisposable
{
    private Action<Queue> _serving = Echo;

    internal ConcurrentQueue<string> Calls { get; } = new();

    /// <summary>What Serve does.</summary>
    internal Action<Queue> Serving
    {
        get => Ordered.Load(ref _serving);
        set => Ordered.Store(ref _serving, value);
    }

    internal byte[] Config { get; init; } = [1, 2, 3, 4];

    internal ulong Offered { get; init; } = 1 << 5;

    internal int Queues { get; init; } = 2;

    internal int Entries { get; init; } = 64;

    /// <summary>The call that throws.</summary>
    internal string? Throws { get; init; }

    public override VirtioDeviceType Type => (VirtioDeviceType)63;

    public override int QueueCount => Queues;

    public override int QueueSize => Entries;

    public override ulong Features => Offered;

    public override int ConfigLength => Config.Length;

    public override void Serve(Queue queue) => Serving(queue);

    public override void ReadConfig(Span<byte> config)
    {
        Record(nameof(ReadConfig));
        Config.CopyTo(config);
    }

    public override bool TryWriteConfig(int offset, ReadOnlySpan<byte> source)
    {
        Record(nameof(TryWriteConfig));
        if (offset != 1 || source.Length != 1) return false;
        Config[1] = source[0];
        return true;
    }

    protected internal override void OnConnected() => Record(nameof(OnConnected));

    protected internal override void OnNegotiated(ulong features)
    {
        Record(nameof(OnNegotiated));
        Negotiated = features;
    }

    protected internal override void OnReset() => Record(nameof(OnReset));

    protected internal override void OnDisconnected() => Record(nameof(OnDisconnected));

    public void Dispose() => Record(nameof(Dispose));

    internal ulong Negotiated { get; private set; }

    internal void WakeUp(int queue) => Wake(queue);

    internal void ConfigChanged() => NotifyConfigChanged();

    /// <summary>Copies the readable buffers of every chain into its writable ones.</summary>
    internal static void Echo(Queue queue)
    {
        Span<byte> bytes = stackalloc byte[4096];
        while (queue.TryTake(out var chain)) queue.Return(chain, chain.Writable.CopyFrom(bytes[..chain.Readable.CopyTo(bytes)]));
    }

    private void Record(string call)
    {
        Calls.Enqueue(call);
        if (call == Throws) throw new InvalidOperationException("as the test says");
    }
}
