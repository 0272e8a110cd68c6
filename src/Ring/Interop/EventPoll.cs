using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Ring.Interop;

/// <summary>
/// Many eventfds to sleep on (<c>epoll(7)</c>), each with a tag. A signal wakes once (edge-triggered), so nothing has to be
/// drained, and a descriptor that stays silent costs nothing. One thread; waiting allocates nothing.
/// </summary>
public sealed unsafe class EventPoll : IDisposable
{
    private const int EventsAtOnce = 64;

    // struct epoll_event is packed on x86-64, and nowhere else.
    private static readonly int s_data = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 4 : 8;
    private static readonly int s_bytes = s_data + sizeof(ulong);

    private readonly SafeFileHandle _handle;
    private readonly byte[] _events = GC.AllocateArray<byte>(EventsAtOnce * s_bytes, pinned: true);

    /// <summary>An empty set.</summary>
    /// <exception cref="IOException">The system has no descriptors left.</exception>
    public EventPoll()
    {
        var fd = Libc.EPollCreate(Libc.EPOLL_CLOEXEC);
        if (fd < 0) throw LibcError.Last("creating an epoll descriptor");
        _handle = new SafeFileHandle(fd, ownsHandle: true);
    }

    /// <summary>Has a descriptor wake the sleeper. What was signalled before counts.</summary>
    /// <param name="handle">Removed before it is closed.</param>
    /// <param name="tag">What it is called when it wakes.</param>
    /// <returns>False when the system has no room for it.</returns>
    public bool TryAdd(SafeHandle handle, int tag)
    {
        Span<byte> what = stackalloc byte[2 * sizeof(ulong)];
        what.Clear();
        BitConverter.TryWriteBytes(what, Libc.EPOLLIN | Libc.EPOLLET);
        BitConverter.TryWriteBytes(what[s_data..], (ulong)tag);
        fixed (byte* p = what) return Libc.EPollControl(_handle, Libc.EPOLL_CTL_ADD, handle, p) == 0;
    }

    /// <summary>Has it wake nobody any more.</summary>
    public void Remove(SafeHandle handle) => _ = Libc.EPollControl(_handle, Libc.EPOLL_CTL_DEL, handle, null);

    /// <summary>Sleeps until a descriptor was signalled.</summary>
    /// <returns>How many were; some may be left for the next time.</returns>
    public int Wait()
    {
        fixed (byte* events = _events)
        {
            while (true)
            {
                var count = Libc.EPollWait(_handle, events, EventsAtOnce, -1);
                if (count >= 0) return count;
                if (!LibcError.Interrupted) throw LibcError.Last("waiting for events");
            }
        }
    }

    /// <summary>The tag of what was signalled.</summary>
    /// <param name="index">Below what <see cref="Wait"/> returned.</param>
    public int Tag(int index) => (int)BitConverter.ToUInt64(_events, index * s_bytes + s_data);

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();
}
