using VmShunt.Ring.Memory;

namespace VmShunt.HostPartition.HardwareStack;

/// <summary>
/// The bottom of VM-H's hardware stack: moves bytes between one device and guest memory. Offsets and lengths have been
/// checked by the class driver. Any thread may call; calls run side by side and block only on the device.
/// </summary>
internal abstract class PortDriver : IDisposable
{
    /// <summary>What the device is, for people.</summary>
    internal abstract string Description { get; }

    /// <summary>The size in bytes, which need not be a multiple of anything.</summary>
    internal abstract long Bytes { get; }

    /// <summary>Looks at the device's size again.</summary>
    /// <exception cref="IOException">The device does not say.</exception>
    internal virtual void Refresh()
    {
        // Most devices keep their size.
    }

    /// <summary>Whether writes are impossible.</summary>
    internal abstract bool IsReadOnly { get; }

    /// <summary>Fills the pieces; what lies past the end of the device reads as zeros. The list is used up.</summary>
    /// <exception cref="IOException">The device failed.</exception>
    internal abstract void Read(IoVectors target, long offset);

    /// <summary>Writes the pieces. The list is used up.</summary>
    /// <exception cref="IOException">The device failed.</exception>
    internal abstract void Write(IoVectors source, long offset);

    /// <summary>Returns when every write that was completed before is durable.</summary>
    /// <exception cref="IOException">The device failed.</exception>
    internal abstract void Flush();

    /// <summary>Gives space back; the range reads as zeros afterwards.</summary>
    /// <returns>False where the device cannot.</returns>
    internal abstract bool TryDiscard(long offset, long bytes);

    /// <summary>Makes a range read as zeros and keeps its space.</summary>
    /// <exception cref="IOException">The device failed.</exception>
    internal abstract void WriteZeroes(long offset, long bytes);

    /// <inheritdoc/>
    public abstract void Dispose();
}
