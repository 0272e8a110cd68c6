using System.Diagnostics.CodeAnalysis;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Ring.Interop;

/// <summary>
/// A Linux eventfd: a counter that one side adds to and the other side waits for. Kick, call and interrupt are
/// eventfds. Signalling and draining may run on any thread at once; neither blocks nor allocates.
/// </summary>
public sealed unsafe class EventFd : IDisposable
{
    private readonly SafeFileHandle _handle;

    private EventFd(SafeFileHandle handle) => _handle = handle;

    /// <summary>The descriptor, owned by this object; to pass to a peer or to a <see cref="WaitSet"/>.</summary>
    public SafeFileHandle Handle => _handle;

    /// <summary>A new eventfd with a count of zero, non-blocking and closed on exec.</summary>
    /// <exception cref="IOException">The system has no descriptors left.</exception>
    public static EventFd Create()
    {
        var fd = Libc.EventFd(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);
        return fd < 0 ? throw LibcError.Last("creating an eventfd") : new EventFd(new SafeFileHandle(fd, ownsHandle: true));
    }

    /// <summary>
    /// Takes ownership of a descriptor that a peer sent, and makes it non-blocking so that nothing can hang on it.
    /// Anything but an eventfd is closed: a peer that sent its own end of our socket would keep it open beyond its death.
    /// </summary>
    /// <returns>False when it is no eventfd.</returns>
    public static bool TryFromPeer(SafeFileHandle handle, [NotNullWhen(true)] out EventFd? eventFd)
    {
        ArgumentNullException.ThrowIfNull(handle);
        const int F_GETFL = 3, F_SETFL = 4;
        var flags = Libc.Fcntl(handle, F_GETFL, 0);
        if (flags < 0 || !IsEventFd(handle) || Libc.Fcntl(handle, F_SETFL, flags | Libc.EFD_NONBLOCK) < 0)
        {
            handle.Dispose();
            eventFd = null;
            return false;
        }
        eventFd = new EventFd(handle);
        return true;
    }

    /// <summary>Adds one to the count and wakes whoever waits. A full counter is already a signal.</summary>
    public void Signal()
    {
        ulong one = 1;
        _ = Libc.Write(_handle, &one, sizeof(ulong));
    }

    /// <summary>Takes the count back to zero.</summary>
    /// <returns>Whether it had been signalled since the last drain.</returns>
    public bool TryDrain()
    {
        ulong count;
        return Libc.Read(_handle, &count, sizeof(ulong)) == sizeof(ulong);
    }

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    // No call tells an eventfd from other anonymous inodes; its name does.
    private static bool IsEventFd(SafeFileHandle handle) =>
        new FileInfo($"/proc/self/fd/{handle.DangerousGetHandle()}").LinkTarget == "anon_inode:[eventfd]";
}
