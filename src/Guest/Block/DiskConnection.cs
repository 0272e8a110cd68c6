using System.Diagnostics;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockDriver;

/// <summary>What is below a <see cref="BlockDisk"/>: the shared memory, and the driver that reconnects. Any thread.</summary>
internal sealed class DiskConnection
{
    // A ring at address 0 counts as not set up for some back-ends.
    private const ulong FirstAddress = 0x1_0000;

    // A virtqueue takes less than a quarter of this: the memory of a back-end that does not release it is not reused.
    private const ulong RingBytesPerQueue = 0x2_0000;

    private const ulong PageBytes = 4096;

    private static readonly TimeSpan s_retryInterval = TimeSpan.FromMilliseconds(5);

    private readonly string _path;
    private readonly BlockDiskOptions _options;
    private readonly BusOptions _bus;
    private readonly CrashGate _crash = new();
    private readonly GuestRam _ram;
    private readonly GuestPages _ringPages;
    private readonly ReconnectingPortDriver _port;
    private readonly SharedFlag _disposed = new();
    private int _inFlight;

    private DiskConnection(string path, BlockDiskOptions options)
    {
        _path = path;
        _options = options;
        _bus = new BusOptions(options.Queues, options.Wait, options.Layout, options.PolledQueues);
        // Rings have memory of their own, so that buffers never use up what a reconnect needs.
        var ringBytes = RingBytesPerQueue * (ulong)(options.Queues + options.PolledQueues);
        var bufferBytes = (ulong)options.SharedMemoryBytes / PageBytes * PageBytes;
        _ram = GuestRam.Create((long)(FirstAddress + ringBytes + bufferBytes), "vmshunt-disk");
        _ringPages = new GuestPages(_ram, FirstAddress, ringBytes);
        Buffers = new BufferPool(_ram, new GuestPages(_ram, FirstAddress + ringBytes, bufferBytes));
        try
        {
            _port = OpenPort();
            PolledQueues = _port.Channel.PollQueues;
        }
        catch
        {
            Buffers.Close();
            throw;
        }
    }

    internal BufferPool Buffers { get; }

    internal DiskGeometry Geometry => _port.Geometry;

    /// <summary>The number of polled queues; every back-end that the disk reconnects to has as many.</summary>
    internal int PolledQueues { get; }

    internal int Reconnects => _port.Reconnects;

    internal bool FailsWhileLost => _options.OnDisconnect == DisconnectPolicy.Fail;

    internal bool IsDisposed => _disposed.IsRaised;

    /// <summary>Connects; waits for a back-end that does not listen yet as long as the options say.</summary>
    internal static async Task<DiskConnection> OpenAsync(string path, BlockDiskOptions options, CancellationToken cancel)
    {
        var start = Stopwatch.GetTimestamp();
        while (true)
        {
            cancel.ThrowIfCancellationRequested();
            // Sockets are used synchronously.
            var opening = Task.Run(() => new DiskConnection(path, options), CancellationToken.None);
            try
            {
                return await opening.WaitAsync(cancel).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                _ = opening.ContinueWith(
                    static late => late.Result.Dispose(drainTimeout: null), CancellationToken.None, TaskContinuationOptions.OnlyOnRanToCompletion, TaskScheduler.Default);
                throw;
            }
            catch (IOException e) when (UnixConnection.HasNoListener(e))
            {
                if (Stopwatch.GetElapsedTime(start) >= options.ConnectTimeout)
                    throw new IOException($"{e.Message}; start the back-end first, or set BlockDiskOptions.ConnectTimeout to wait for it", e);
            }
            await Task.Delay(s_retryInterval, cancel).ConfigureAwait(false);
        }
    }

    /// <summary>The ring of a polled queue; while the back-end is lost, the last one, which is closed.</summary>
    internal PolledQueue RingOf(int number) => _port.Channel.PolledQueueOf(number);

    internal BlockStatus? StatusWithoutDevice(BlockOperation operation) => _port.Channel.StatusWithoutDevice(operation);

    /// <summary>Submits an awaited request, which reports its completion to <see cref="NoteCompletion"/>.</summary>
    internal void Submit(DiskRequest request)
    {
        Interlocked.Increment(ref _inFlight);
        _port.Submit(request);
    }

    internal void NoteCompletion() => Interlocked.Decrement(ref _inFlight);

    /// <summary>Asks for the serial number. It is also the proof that the back-end completes requests.</summary>
    /// <exception cref="IOException">It does not, in the time that the options say.</exception>
    internal async Task<string> ReadSerialAsync(CancellationToken cancel)
    {
        var buffer = Buffers.Lend(SerialRequest.SerialBytes);
        buffer.Bytes.Clear();
        var request = new SerialRequest(buffer);
        _port.Submit(request);
        try
        {
            var limit = _options.ResponseTimeout == TimeSpan.Zero ? Timeout.InfiniteTimeSpan : _options.ResponseTimeout;
            var status = await request.Completed.WaitAsync(limit, cancel).ConfigureAwait(false);
            return status == BlockStatus.Ok ? SerialRequest.Parse(buffer.Bytes[..SerialRequest.SerialBytes]) : "";
        }
        catch (TimeoutException)
        {
            throw new IOException($"the back-end at {_path} does not complete a request within {_options.ResponseTimeout.TotalSeconds:0.###} s; is it stopped?");
        }
        finally
        {
            // The back-end has the buffer until then.
            _ = request.Completed.ContinueWith(_ => buffer.Release(), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        }
    }

    /// <summary>Waits for requests in flight, and disconnects. Blocks; called once.</summary>
    /// <param name="drainTimeout">How long to wait before requests fail; null: do not wait.</param>
    internal void Dispose(TimeSpan? drainTimeout)
    {
        _disposed.Raise();
        var isDrained = drainTimeout is { } limit && SpinWait.SpinUntil(() => Ordered.Load(ref _inFlight) == 0, limit);
        _port.Dispose(abandonsInFlight: !isDrained);
        Buffers.Close();
    }

    private ReconnectingPortDriver OpenPort() => new(Open, Log, FailsWhileLost);

    // What the log throws must not end the thread that reconnects.
    private void Log(string line)
    {
        try
        {
            _options.Log?.Invoke(line);
        }
        catch (Exception)
        {
            // There is no other place to say it.
        }
    }

    private BusChannel Open(Action<string> lost)
    {
        var socket = UnixConnection.Connect(_path, _options.ResponseTimeout);
        var channel = BusChannel.Open(socket, _ram, _ringPages, _bus, new QueueThreadOptions(
            _options.Wait, _crash, static () => { }, static () => { }, lost, e => lost($"a virtqueue's thread failed: {e.Message}")));
        if (FindFault(channel) is not { } fault) return channel;
        channel.Dispose();
        throw new IOException($"the back-end at {_path} {fault}");
    }

    private string? FindFault(BusChannel channel)
    {
        var geometry = channel.Geometry;
        if (geometry.MaxTransferBytes < geometry.LogicalBlockBytes)
            return $"offers segments of {geometry.MaxTransferBytes} bytes, less than a logical block of {geometry.LogicalBlockBytes} bytes";
        return channel.PollQueues < PolledQueues ? "offers fewer queues than before" : null;
    }
}
