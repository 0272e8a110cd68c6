using System.Diagnostics.CodeAnalysis;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Ring.Interop;

/// <summary>
/// A Linux eventfd: a counter that one side increments and the other side waits for. Kicks, calls and interrupts are
/// eventfds. Any thread may signal and drain; neither blocks nor allocates.
/// </summary>
public sealed class EventFd : IDisposable
{
    private readonly SafeFileHandle _handle;

    private EventFd(SafeFileHandle handle) => _handle = handle;

    /// <summary>The descriptor, to pass to a peer or to a <see cref="WaitSet"/>; owned by this object.</summary>
    public SafeFileHandle Handle => _handle;

    /// <summary>Creates a non-blocking eventfd with a count of zero that is closed on exec.</summary>
    /// <exception cref="IOException">The system has no descriptors left.</exception>
    public static EventFd Create()
    {
        var fd = Libc.EventFd(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);
        return fd < 0 ? throw LibcError.Last("creating an eventfd") : new EventFd(new SafeFileHandle(fd, ownsHandle: true));
    }

    /// <summary>
    /// Takes ownership of a descriptor that a peer sent and makes it non-blocking, so that the peer cannot block a thread
    /// here. A descriptor that is not an eventfd is closed: a peer could send its own end of our socket, which would then
    /// stay open after the peer exits.
    /// </summary>
    /// <returns>False when it is not an eventfd.</returns>
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

    /// <summary>Adds one to the count and wakes the waiting threads. A write to a full counter fails; it is signalled already.</summary>
    public void Signal() => _ = Libc.Write(_handle, 1UL, sizeof(ulong));

    /// <summary>Resets the count to zero.</summary>
    /// <returns>Whether it was signalled since the last drain.</returns>
    public bool TryDrain() => Libc.Read(_handle, out _, sizeof(ulong)) == sizeof(ulong);

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    // Only the name tells an eventfd from other anonymous inodes.
    private static bool IsEventFd(SafeFileHandle handle) =>
        new FileInfo($"/proc/self/fd/{handle.DangerousGetHandle()}").LinkTarget == "anon_inode:[eventfd]";
}
