using Microsoft.Extensions.Logging;
using VmShunt.BlockBackend.Log;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Serving;

namespace VmShunt.BlockBackend.Disk;

/// <summary>
/// The right to use an image that the VM-H of a migrating guest passes to the next one. The lock of the image is the right:
/// this process releases it when its last user leaves for a migration, and asks for it when a user comes. Without it no
/// request starts. Any thread.
/// </summary>
/// <param name="port">The image's port driver; not owned.</param>
/// <param name="flush">Makes every write durable.</param>
/// <param name="isBusy">Whether a request that a front end has abandoned is still on its way to the disk.</param>
/// <param name="log">For changes of the right.</param>
internal sealed class DiskLease(PortDriver port, Action flush, Func<bool> isBusy, ILogger log)
{
    private const int PauseMilliseconds = 20;

    private readonly Lock _changing = new();
    private bool _isHeld = port.IsOwned, _isReleasing;
    private int _users, _entries;
    private long _triedAt;
    private bool _hasWaited;

    /// <summary>Whether requests may start.</summary>
    internal bool IsHeld => Ordered.Load(ref _isHeld);

    /// <summary>Whether the next host waits for this one.</summary>
    internal bool CanPassOn => port.CanDisown;

    /// <summary>A front end is about to use the disk.</summary>
    internal void Enter()
    {
        lock (_changing)
        {
            _users++;
            _entries++;
            if (!_isHeld) Take();
        }
    }

    /// <summary>A front end does not use the disk any more; its requests are complete. Does not wait for the disk.</summary>
    /// <param name="passesOn">Its guest migrates: another process may need the disk.</param>
    internal void Leave(bool passesOn)
    {
        lock (_changing)
        {
            if (--_users > 0 || !passesOn || !_isHeld || _isReleasing || !port.CanDisown) return;
            _isReleasing = true;
        }
        try
        {
            ServingThread.Start(Release, "disk release");
        }
        catch (IOException e)
        {
            lock (_changing) _isReleasing = false;
            log.DiskNotReleased(port.Description, e.Message);
        }
    }

    /// <summary>Asks for the right, a few times a second at most.</summary>
    /// <returns>Whether requests may start.</returns>
    internal bool TryTake()
    {
        if (IsHeld) return true;
        lock (_changing)
        {
            if (!_isHeld && Environment.TickCount64 - _triedAt >= PauseMilliseconds) Take();
            return _isHeld;
        }
    }

    // The disk may take long, and the guest's hypervisor waits meanwhile for the answer to its stop.
    private void Release()
    {
        while (true)
        {
            // An old write must not overwrite what the guest writes at its destination.
            while (isBusy() && Ordered.Load(ref _users) == 0) Thread.Sleep(PauseMilliseconds);
            int entries;
            lock (_changing)
            {
                if (IsContinued()) return;
                entries = _entries;
            }
            Exception? failure = null;
            try
            {
                flush();
            }
            catch (ObjectDisposedException)
            {
                // This process is about to end, and its lock with it.
                return;
            }
            catch (Exception e)
            {
                failure = e;
            }
            lock (_changing)
            {
                if (IsContinued()) return;
                // The guest was continued here and has left again: its last writes may have come after the flush.
                if (entries != _entries) continue;
                _isReleasing = false;
                // What the next process would read may be old.
                if (failure is not null) log.DiskNotReleased(port.Description, $"it cannot be flushed: {failure.Message}");
                else PassOn();
                return;
            }
        }
    }

    private bool IsContinued()
    {
        if (_users > 0) _isReleasing = false;
        return _users > 0;
    }

    private void PassOn()
    {
        try
        {
            Ordered.Store(ref _isHeld, false);
            port.Disown();
            log.DiskReleased(port.Description);
        }
        catch (ObjectDisposedException)
        {
            // As above.
        }
    }

    private void Take()
    {
        _triedAt = Environment.TickCount64;
        if (!port.TryOwn(isHolderWanted: !_hasWaited, out var holder))
        {
            if (!_hasWaited) log.DiskIsAwaited(port.Description, holder);
            _hasWaited = true;
            return;
        }
        log.DiskTaken(port.Description);
        _hasWaited = false;
        // Release: a ring's thread that sees it sees what the port driver did.
        Ordered.Store(ref _isHeld, true);
    }
}
