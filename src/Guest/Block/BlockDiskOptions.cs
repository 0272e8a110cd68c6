using VmShunt.Ring.Notification;

namespace VmShunt.BlockDriver;

/// <summary>The options of <see cref="BlockDisk.ConnectAsync(string, BlockDiskOptions, CancellationToken)"/>. The defaults suit most programs.</summary>
public sealed class BlockDiskOptions
{
    private const int MaxQueues = 256;
    private const long LeastMemory = 4 << 20, MostMemory = 1L << 40;

    /// <summary>
    /// The virtqueues with a thread, from 1 to 256, over which awaited requests are spread by the calling thread. The back-end
    /// may offer fewer. Default: 1.
    /// </summary>
    public int Queues
    {
        get;
        init => field = value is >= 1 and <= MaxQueues ? value : throw Outside(nameof(Queues), value, $"1 to {MaxQueues}");
    } = 1;

    /// <summary>
    /// The virtqueues without a thread, from 0 to 255, besides <see cref="Queues"/>: see <see cref="BlockDisk.Queue"/>. The
    /// back-end may offer fewer. Default: 0.
    /// </summary>
    public int PolledQueues
    {
        get;
        init => field = value is >= 0 and < MaxQueues ? value : throw Outside(nameof(PolledQueues), value, $"0 to {MaxQueues - 1}");
    }

    /// <summary>The layout of the virtqueues. Default: packed if the back-end offers it, otherwise split.</summary>
    public RingLayout Layout { get; init; }

    /// <summary>
    /// How the threads of <see cref="Queues"/> wait for completions: spin for 100 µs and then block (the default), spin, or
    /// block at once.
    /// </summary>
    public WaitPolicy Wait { get; init; }

    /// <summary>
    /// The memory that is shared with the back-end, from 4 MiB, for rented buffers, copies and virtqueues. The system allocates
    /// a page of it at the first access. Default: 64 MiB.
    /// </summary>
    public long SharedMemoryBytes
    {
        get;
        init => field = value is >= LeastMemory and <= MostMemory ? value : throw Outside(nameof(SharedMemoryBytes), value, $"{LeastMemory:n0} to {MostMemory:n0} bytes");
    } = 64 << 20;

    /// <summary>How long to wait for a back-end that does not listen yet. Default: zero, which fails at once.</summary>
    public TimeSpan ConnectTimeout { get; init => field = NotNegative(nameof(ConnectTimeout), value); }

    /// <summary>
    /// How long the back-end may take for each answer while a session is set up or stopped, and for the first request. A
    /// request after that has no time limit: pass a token. Default: 10 s; zero: no limit.
    /// </summary>
    public TimeSpan ResponseTimeout { get; init => field = NotNegative(nameof(ResponseTimeout), value); } = TimeSpan.FromSeconds(10);

    /// <summary>How long <see cref="BlockDisk.DisposeAsync"/> waits for requests in flight before it fails them. Default: 10 s.</summary>
    public TimeSpan DrainTimeout { get; init => field = NotNegative(nameof(DrainTimeout), value); } = TimeSpan.FromSeconds(10);

    /// <summary>What happens to requests while the back-end is lost. Default: they wait and are resubmitted.</summary>
    public DisconnectPolicy OnDisconnect { get; init; }

    /// <summary>
    /// Whether the code after an await may run on the thread that found the completion, which saves a switch to a thread of the
    /// pool. That code must then not block, since it is a virtqueue's thread. Default: false.
    /// </summary>
    public bool AllowSynchronousContinuations { get; init; }

    /// <summary>
    /// Receives one line when the back-end is lost, with the reason, and one when the disk is connected again; called on the
    /// thread that noticed it, and must not block. What it throws is dropped.
    /// </summary>
    public Action<string>? Log { get; init; }

    private static TimeSpan NotNegative(string option, TimeSpan value) =>
        value >= TimeSpan.Zero && value.TotalMilliseconds < int.MaxValue ? value : throw Outside(option, value, "zero to 24 days");

    private static ArgumentOutOfRangeException Outside(string option, object value, string allowed) => new(option, value, $"{option} is {value}, but must be {allowed}");
}
