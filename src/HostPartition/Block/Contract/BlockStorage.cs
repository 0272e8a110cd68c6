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

    private const int Free = 0, Served = 1, Disposed = 2;

    private int _use;

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
    /// <exception cref="InvalidOperationException">A server serves the disk.</exception>
    public void Dispose()
    {
        if (Interlocked.CompareExchange(ref _use, Disposed, Free) == Served)
            throw new InvalidOperationException($"the disk {Name} is served: dispose its {nameof(BlockServer)} first, which then disposes the disk unless {nameof(BlockServerOptions)}.{nameof(BlockServerOptions.LeaveOpen)} is set");
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Makes the disk that of one server, until <see cref="Release"/>.</summary>
    /// <exception cref="InvalidOperationException">Another server serves it.</exception>
    /// <exception cref="ObjectDisposedException">It was disposed.</exception>
    internal void Claim()
    {
        var use = Interlocked.CompareExchange(ref _use, Served, Free);
        ObjectDisposedException.ThrowIf(use == Disposed, this);
        if (use == Served)
            throw new InvalidOperationException($"another {nameof(BlockServer)} serves the disk {Name}: have one server listen on several sockets, or dispose the other one first");
    }

    internal void Release() => Interlocked.Exchange(ref _use, Free);

    /// <summary>Releases what the disk holds. The server calls it after the last request, unless <see cref="BlockServerOptions.LeaveOpen"/>.</summary>
    /// <param name="disposing">False from a finalizer.</param>
    protected virtual void Dispose(bool disposing)
    {
    }
}
