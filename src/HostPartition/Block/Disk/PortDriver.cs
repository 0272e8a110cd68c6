using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Disk;

/// <summary>
/// The bottom of VM-H's disk stack: transfers data between one device and guest memory. The class driver has checked offsets
/// and lengths. Any thread; calls are concurrent and block on the device only.
/// </summary>
internal abstract class PortDriver : IDisposable
{
    /// <summary>The device's name in messages.</summary>
    internal abstract string Description { get; }

    /// <summary>How requests are carried out, and why not in a faster way, for the log. May make system calls.</summary>
    internal virtual string Engine => "one call per request";

    /// <summary>The size in bytes, not always a multiple of the sector size. Only <see cref="Refresh"/> changes it.</summary>
    internal abstract long Bytes { get; }

    /// <summary>Re-reads the device's size. One thread at a time, concurrent with requests.</summary>
    /// <exception cref="IOException">The size cannot be read; the old one stays.</exception>
    internal virtual void Refresh()
    {
        // Most devices do not change their size.
    }

    /// <summary>Every offset and length of a request is a multiple of it.</summary>
    internal virtual int MinBlockBytes => 1;

    /// <summary>How often writes that had completed may have been lost before a flush covered them; a failed flush counts by itself.</summary>
    internal virtual long WriteLosses => 0;

    /// <summary>The device is about to be disposed: requests that wait for it fail. Any thread; does not block.</summary>
    internal virtual void Abort()
    {
        // Most devices answer.
    }

    /// <summary>The device's preferred request sizes.</summary>
    internal virtual DiskTopology Topology => DiskTopology.None;

    /// <summary>Whether the data is in memory, so that a request usually takes less than a microsecond.</summary>
    internal virtual bool IsMemoryResident => false;

    /// <summary>Whether a request never blocks on a device: its duration depends on its length only.</summary>
    internal virtual bool NeverBlocks => false;

    /// <summary>
    /// Whether a request can be abandoned while the device has it: when its memory is taken away meanwhile, it fails, and
    /// nothing else happens. Not where the device has the memory's pages (direct I/O), or code of others has its address.
    /// </summary>
    internal virtual bool CanAbandon => false;

    internal abstract bool IsReadOnly { get; }

    /// <summary>Whether this process has the device; otherwise another may use it, and no request starts before <see cref="TryOwn"/>. One thread at a time.</summary>
    internal virtual bool IsOwned => true;

    /// <summary>Whether <see cref="Disown"/> lets another process have the device.</summary>
    internal virtual bool CanDisown => false;

    /// <summary>Gets the device for this process. One thread at a time.</summary>
    /// <param name="isHolderWanted">Whether to look for who has it, which takes long.</param>
    /// <param name="holder">Who has it.</param>
    internal virtual bool TryOwn(bool isHolderWanted, out string holder)
    {
        holder = "";
        return true;
    }

    /// <summary>Lets another process have the device; no request runs. One thread at a time.</summary>
    internal virtual void Disown()
    {
    }

    /// <summary>Reads into the pieces; what is past the end of the device reads as zeros. The list may be consumed.</summary>
    /// <exception cref="IOException">The device failed.</exception>
    internal abstract void Read(IoVectors target, long offset);

    /// <summary>As <see cref="Read(IoVectors, long)"/>, with a hint for prefetching.</summary>
    /// <param name="target">The pieces.</param>
    /// <param name="offset">The offset in bytes.</param>
    /// <param name="next">The offset of the expected next read, or −1.</param>
    /// <exception cref="IOException">The device failed.</exception>
    internal virtual void Read(IoVectors target, long offset, long next) => Read(target, offset);

    /// <summary>Writes the pieces. After a failure the list holds those that were not written.</summary>
    /// <exception cref="IOException">The device failed, or is full.</exception>
    internal abstract void Write(IoVectors source, long offset);

    /// <summary>Opens a queue of concurrent requests for one thread.</summary>
    /// <param name="depth">The most requests in flight.</param>
    /// <param name="memory">The memory of its requests' pieces; not owned.</param>
    /// <returns>The queue, owned by the caller; null where concurrency gains nothing.</returns>
    internal virtual AsyncIoQueue? TryOpenQueue(int depth, GuestMemory memory) => null;

    /// <summary>Returns when every completed write is durable.</summary>
    /// <exception cref="IOException">The device failed.</exception>
    internal abstract void Flush();

    /// <summary>Deallocates a range; <see cref="DiscardIsDeterministic"/> says what it reads as afterwards.</summary>
    /// <returns>False where the device does not support it.</returns>
    internal abstract bool TryDiscard(long offset, long bytes);

    /// <summary>Whether a discarded range reads as zeros or as before; otherwise its content is undefined.</summary>
    internal virtual bool DiscardIsDeterministic => true;

    /// <summary>Makes a range read as zeros by deallocating it.</summary>
    /// <returns>False where the device does not support it.</returns>
    internal virtual bool TryUnmap(long offset, long bytes) => false;

    /// <summary>Makes a range read as zeros and keeps it allocated.</summary>
    /// <exception cref="IOException">The device failed.</exception>
    internal abstract void WriteZeroes(long offset, long bytes);

    /// <inheritdoc/>
    public abstract void Dispose();
}
