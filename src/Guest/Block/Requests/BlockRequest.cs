namespace VmShunt.BlockDriver.Requests;

/// <summary>The path that a request took to the disk.</summary>
public enum RequestPath : byte
{
    /// <summary>No driver has sent it to a device.</summary>
    None,

    /// <summary>The registers of a controller, which trap in a virtual machine.</summary>
    Trap,

    /// <summary>A virtqueue.</summary>
    Ring,
}

/// <summary>
/// A request to a driver (an SRB, a bio): what to do, and <see cref="End"/>, which its driver calls once when it is done.
/// Derive from it, submit it to a <see cref="IBlockDriver"/>, and reuse the object after its end: nothing is allocated.
/// </summary>
/// <remarks>
/// The creator has the request until it submits it, and again from <see cref="End"/> on. In between it belongs to the driver
/// that has it, one at a time; a layer that passes it on touches it no more.
/// </remarks>
public abstract partial class BlockRequest
{
    /// <summary>What to do.</summary>
    public BlockOperation Operation { get; private set; }

    /// <summary>The first sector, in units of <see cref="DiskGeometry.SectorBytes"/>; for flush 0.</summary>
    public ulong Sector { get; private set; }

    /// <summary>The length in bytes; for flush 0.</summary>
    public int Bytes { get; private set; }

    /// <summary>Guest-physical address of the data of a read or write.</summary>
    public ulong Address { get; private set; }

    /// <summary>The next request in its list; a request is in at most one list, of the driver that has it.</summary>
    public BlockRequest? Next { get; set; }

    /// <summary>Receives the request if its driver rejects it, because the device was lost without executing it; null: it fails.</summary>
    public IBlockDriver? Fallback { get; set; }

    /// <summary>The path, set by the driver that sends it to a device.</summary>
    public RequestPath RequestPath { get; set; }

    /// <summary>Notified of the request's hops; null if it has no observer. Set before the request is submitted.</summary>
    public RequestObserver? Observer { get; protected set; }

    /// <summary>Whether this read is for the disk's serial number, 20 bytes, instead of its content (VIRTIO_BLK_T_GET_ID).</summary>
    internal bool ReadsSerial { get; init; }

    /// <summary>
    /// The managed thread ID of the one thread that submits it and waits for it: a channel with polled queues then completes
    /// it before <see cref="IBlockDriver.Submit"/> returns, unless all are in use. 0: no thread.
    /// </summary>
    protected internal int PollingThread { get; protected init; }

    /// <summary>Completes the request: calls <see cref="End"/>. Called by the driver that has it, once.</summary>
    /// <param name="status">How it completed.</param>
    public void Complete(BlockStatus status)
    {
        switch (Interlocked.Exchange(ref _stage, Stage.Completed))
        {
            case Stage.Completed:
                NoteRepeatedCompletion();
                break;
            case Stage.Cancelled:
                OnDropped();
                break;
            default:
                // Waits for a cancellation callback that has lost the race, or it would cancel the object's next request.
                if (_isCancellable) _cancellation.Dispose();
                End(status);
                break;
        }
    }

    /// <summary>Submits the request to its fallback, or fails it. Called by the driver that has it, if no device has executed it.</summary>
    public void Reject()
    {
        var fallback = Fallback;
        Fallback = null;
        Observer?.Pass(DriverHop.Rejected);
        if (fallback is not null) fallback.Submit(this);
        else Complete(BlockStatus.IoError);
    }

    /// <summary>Says what to do, and makes the request pending. Called by its creator before each submission.</summary>
    /// <param name="operation">What to do.</param>
    /// <param name="sector">The first sector, in units of <see cref="DiskGeometry.SectorBytes"/>; for flush 0.</param>
    /// <param name="bytes">The length, a multiple of the logical block size and at most what the geometry allows; for flush 0. Not checked.</param>
    /// <param name="address">Guest-physical address of the data of a read or write, which the device has until the end; otherwise 0.</param>
    protected void Begin(BlockOperation operation, ulong sector, int bytes, ulong address)
    {
        Operation = operation;
        Sector = sector;
        Bytes = bytes;
        Address = address;
        _stage = Stage.Pending;
    }

    /// <summary>Forgets list, fallback, path, observer and token of the last submission. Called by its creator, before it is reused.</summary>
    protected void Reset()
    {
        Next = null;
        Fallback = null;
        RequestPath = RequestPath.None;
        Observer = null;
        if (!_isCancellable) return;
        _cancellation = default;
        _isCancellable = false;
    }

    /// <summary>
    /// The request has completed, and is its creator's again. Called once per submission, on the thread that found the
    /// completion, which drives a device: it may submit more requests, and must neither block nor throw.
    /// </summary>
    /// <param name="status">How it completed.</param>
    protected abstract void End(BlockStatus status);

    /// <summary>A driver completed the request again, which is a bug in that driver: the first completion counts.</summary>
    protected virtual void NoteRepeatedCompletion()
    {
    }
}
