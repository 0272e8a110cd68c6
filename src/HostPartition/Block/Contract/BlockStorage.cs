namespace VmShunt.BlockBackend;

/// <summary>
/// What the back-end asks of every disk. Derive from <see cref="BlockDevice"/> (spans, synchronous),
/// <see cref="AsyncBlockDevice"/> (memory, completes later) or <see cref="VectoredBlockDevice"/> (lists of pieces); disks
/// of this host open as <see cref="HostDisk"/>.
/// </summary>
/// <remarks>Properties are read on any thread, also while requests run.</remarks>
public abstract class BlockStorage : IDisposable
{
    internal const string DefaultSerial = "VMSHUNT0";

    private protected BlockStorage()
    {
    }

    /// <summary>The size in bytes: a positive multiple of <see cref="LogicalBlockSize"/>. Call <see cref="NotifyLengthChanged"/> when it changes.</summary>
    public abstract long Length { get; }

    /// <summary>The disk's name in log lines; by default the name of its type.</summary>
    public virtual string Name => GetType().Name;

    /// <summary>The unit of offsets and lengths in bytes: 512 (default) or 4096. A guest that is told 4096 sends no smaller requests.</summary>
    public virtual int LogicalBlockSize => 512;

    /// <summary>The smallest write in bytes that needs no read-modify-write: a power of two, at least <see cref="LogicalBlockSize"/>, at most 65536.</summary>
    public virtual int PhysicalBlockSize => LogicalBlockSize;

    /// <summary>Whether the guest's writes, discards and zeroes are rejected before they reach the disk.</summary>
    public virtual bool IsReadOnly => false;

    /// <summary>The serial number that the guest reads: 1 to 20 ASCII characters.</summary>
    public virtual string Serial => DefaultSerial;

    internal event Action? LengthChanged;

    /// <summary>Tells every guest that <see cref="Length"/> changed. Any thread.</summary>
    public void NotifyLengthChanged() => LengthChanged?.Invoke();

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Releases what the disk holds. The server calls it after the last request, unless <see cref="BlockServerOptions.LeaveOpen"/>.</summary>
    /// <param name="disposing">False from a finalizer.</param>
    protected virtual void Dispose(bool disposing)
    {
    }
}
