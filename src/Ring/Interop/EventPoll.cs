using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Ring.Interop;

/// <summary>
/// Waits for many eventfds (<c>epoll(7)</c>), each with a tag. Edge-triggered: a signal wakes once and needs no drain, and
/// an idle descriptor costs nothing. One thread waits; waiting does not allocate.
/// </summary>
public sealed class EventPoll : IDisposable
{
    private const int MaxEvents = 64;

    // struct epoll_event is packed on x86-64 only.
    private static readonly int s_data = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 4 : 8;
    private static readonly int s_bytes = s_data + sizeof(ulong);

    private readonly SafeFileHandle _handle;
    private readonly byte[] _events = GC.AllocateArray<byte>(MaxEvents * s_bytes, pinned: true);

    /// <summary>Creates an empty set.</summary>
    /// <exception cref="IOException">The system has no descriptors left.</exception>
    public EventPoll()
    {
        var fd = Libc.EPollCreate(Libc.EPOLL_CLOEXEC);
        if (fd < 0) throw LibcError.Last("creating an epoll descriptor");
        _handle = new SafeFileHandle(fd, ownsHandle: true);
    }

    /// <summary>Adds a descriptor. A signal from before counts.</summary>
    /// <param name="handle">The descriptor; remove it before it is closed.</param>
    /// <param name="tag">What <see cref="Tag"/> returns for it.</param>
    /// <returns>False when the system has no room for it.</returns>
    public bool TryAdd(SafeHandle handle, int tag)
    {
        Span<byte> added = stackalloc byte[2 * sizeof(ulong)];
        added.Clear();
        BitConverter.TryWriteBytes(added, Libc.EPOLLIN | Libc.EPOLLET);
        BitConverter.TryWriteBytes(added[s_data..], (ulong)tag);
        return Libc.EPollControl(_handle, Libc.EPOLL_CTL_ADD, handle, in added[0]) == 0;
    }

    /// <summary>Removes a descriptor.</summary>
    // The kernel ignores the event of a removal.
    public void Remove(SafeHandle handle) => _ = Libc.EPollControl(_handle, Libc.EPOLL_CTL_DEL, handle, in _events[0]);

    /// <summary>Blocks until a descriptor is signalled.</summary>
    /// <returns>How many were signalled. If there were more than fit, the next call returns the rest.</returns>
    public int Wait()
    {
        while (true)
        {
            var count = Libc.EPollWait(_handle, ref _events[0], MaxEvents, -1);
            if (count >= 0) return count;
            if (!LibcError.Interrupted) throw LibcError.Last("waiting for events");
        }
    }

    /// <summary>The tag of a signalled descriptor.</summary>
    /// <param name="index">Less than the result of <see cref="Wait"/>.</param>
    public int Tag(int index) => (int)BitConverter.ToUInt64(_events, index * s_bytes + s_data);

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();
}
