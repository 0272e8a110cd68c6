using VmShunt.Ring.Memory;

namespace VmShunt.HostPartition.Disk;

/// <summary>
/// The bottom of VM-H's hardware stack: moves bytes between one device and guest memory. Offsets and lengths have been
/// checked by the class driver. Any thread may call; calls run side by side and block only on the device.
/// </summary>
internal abstract class PortDriver : IDisposable
{
    /// <summary>What the device is, for people.</summary>
    internal abstract string Description { get; }

    /// <summary>The size in bytes, which need not be a multiple of anything. Changes with <see cref="Refresh"/> alone.</summary>
    internal abstract long Bytes { get; }

    /// <summary>Looks at the size again. One thread at a time, beside requests.</summary>
    /// <exception cref="IOException">The device does not say; the size is as it was.</exception>
    internal virtual void Refresh()
    {
        // Most devices stay as large as they are.
    }

    /// <summary>What sizes suit the device.</summary>
    internal virtual DiskTopology Topology => DiskTopology.None;

    /// <summary>Whether a request usually takes less than a microsecond: it is in memory.</summary>
    internal virtual bool IsQuick => false;

    /// <summary>Whether no request ever waits for a device: how long one takes is how much it moves.</summary>
    internal virtual bool NeverWaits => false;

    /// <summary>Whether writes are impossible.</summary>
    internal abstract bool IsReadOnly { get; }

    /// <summary>Fills the pieces; what lies past the end of the device reads as zeros. The list is used up.</summary>
    /// <exception cref="IOException">The device failed.</exception>
    internal abstract void Read(IoVectors target, long offset);

    /// <summary>As <see cref="Read(IoVectors, long)"/>, for a caller who knows where the next read will likely be.</summary>
    /// <param name="target">The pieces.</param>
    /// <param name="offset">Where, in bytes.</param>
    /// <param name="next">Where the next one will be: a hint to fetch that meanwhile; −1 where that is not known.</param>
    /// <exception cref="IOException">The device failed.</exception>
    internal virtual void Read(IoVectors target, long offset, long next) => Read(target, offset);

    /// <summary>Writes the pieces. When that fails, the list holds those that were not written.</summary>
    /// <exception cref="IOException">The device failed, or is full.</exception>
    internal abstract void Write(IoVectors source, long offset);

    /// <summary>A queue for a thread whose requests are to be under way side by side.</summary>
    /// <param name="depth">How many at once.</param>
    /// <returns>Null where one after another is as good; the caller's.</returns>
    internal virtual AsyncIoQueue? TryOpenQueue(int depth) => null;

    /// <summary>Returns when every write that was completed before is durable.</summary>
    /// <exception cref="IOException">The device failed.</exception>
    internal abstract void Flush();

    /// <summary>Gives space back. What the range reads as afterwards: <see cref="DiscardIsDeterministic"/>.</summary>
    /// <returns>False where the device cannot.</returns>
    internal abstract bool TryDiscard(long offset, long bytes);

    /// <summary>Whether a range that was discarded reads as zeros, or as before; otherwise as anything.</summary>
    internal virtual bool DiscardIsDeterministic => true;

    /// <summary>Makes a range read as zeros by giving its space back.</summary>
    /// <returns>False where the device cannot.</returns>
    internal virtual bool TryUnmap(long offset, long bytes) => false;

    /// <summary>Makes a range read as zeros and keeps its space.</summary>
    /// <exception cref="IOException">The device failed.</exception>
    internal abstract void WriteZeroes(long offset, long bytes);

    /// <inheritdoc/>
    public abstract void Dispose();
}
