using System.Runtime.InteropServices;

namespace VmShunt.Ring.Interop;

/// <summary>
/// Waits for a fixed list of descriptors (<c>poll(2)</c>). One thread uses it; waiting does not allocate. The set holds a
/// reference on each handle until it is disposed.
/// </summary>
public sealed class WaitSet : IDisposable
{
    private readonly Libc.PollFd[] _fds;
    private readonly SafeHandle[] _handles;
    private int _disposed;

    /// <summary>Creates the set over open descriptors.</summary>
    public WaitSet(params ReadOnlySpan<SafeHandle> handles)
    {
        _handles = handles.ToArray();
        _fds = GC.AllocateArray<Libc.PollFd>(_handles.Length, pinned: true);
        for (var i = 0; i < _handles.Length; i++)
        {
            var added = false;
            _handles[i].DangerousAddRef(ref added);
            _fds[i] = new Libc.PollFd { Fd = (int)_handles[i].DangerousGetHandle(), Events = Libc.POLLIN | Libc.POLLRDHUP };
        }
    }

    /// <summary>From now on data on descriptor <paramref name="index"/> does not wake; a disconnect still does.</summary>
    public void IgnoreData(int index) => _fds[index].Events = Libc.POLLRDHUP;

    /// <summary>Blocks until a descriptor is readable, its peer disconnects, or the time is over.</summary>
    /// <param name="timeoutMilliseconds">−1: no limit. 0: do not block.</param>
    /// <returns>Whether any descriptor is ready.</returns>
    public bool Wait(int timeoutMilliseconds = -1)
    {
        while (true)
        {
            var ready = Libc.Poll(ref MemoryMarshal.GetArrayDataReference(_fds), (nuint)_fds.Length, timeoutMilliseconds);
            if (ready >= 0) return ready > 0;
            if (!LibcError.Interrupted) throw LibcError.Last("waiting for events");
        }
    }

    /// <summary>Whether descriptor <paramref name="index"/> was ready (readable, closed or failed) at the last wait.</summary>
    public bool IsReady(int index) => _fds[index].Returned != 0;

    /// <summary>Whether the peer of descriptor <paramref name="index"/> has closed its end (fully or for writing).</summary>
    public bool IsHungUp(int index) => (_fds[index].Returned & (Libc.POLLHUP | Libc.POLLRDHUP | Libc.POLLERR)) != 0;

    /// <summary>Whether the connection of descriptor <paramref name="index"/> is shut down in both directions.</summary>
    public bool IsClosed(int index) => (_fds[index].Returned & (Libc.POLLHUP | Libc.POLLERR)) != 0;

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        foreach (var handle in _handles) handle.DangerousRelease();
    }
}
