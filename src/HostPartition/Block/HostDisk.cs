using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockBackend.Log;

namespace VmShunt.BlockBackend;

/// <summary>A disk of this host: a raw image, a block device, memory, an NBD export, or a disk that keeps nothing. Any thread.</summary>
public sealed class HostDisk : BlockStorage
{
    private readonly HostDiskOptions _options;
    private int _disposed;

    private HostDisk(PortDriver port, HostDiskOptions options)
    {
        Port = port;
        _options = options;
    }

    /// <summary>The size in bytes. Of an image it need not be a multiple of the block size: what is missing in the last block reads as zeros.</summary>
    public override long Length => Port.Bytes;

    /// <inheritdoc/>
    public override string Name => Port.Description;

    /// <inheritdoc/>
    public override int LogicalBlockSize => _options.LogicalBlockSize;

    /// <inheritdoc/>
    public override int PhysicalBlockSize => _options.PhysicalBlockSize;

    /// <inheritdoc/>
    public override bool IsReadOnly => Port.IsReadOnly;

    /// <inheritdoc/>
    public override string Serial => _options.Serial;

    internal PortDriver Port { get; }

    internal bool HasWriteCache => _options.Cache != CacheMode.WriteThrough;

    /// <summary>Opens a disk.</summary>
    /// <param name="spec">
    /// The path of a raw image or block device, <c>memory:SIZE</c>, <c>null:SIZE</c>, or an NBD export
    /// (<c>nbd://HOST/EXPORT</c>, <c>nbd+unix:///EXPORT?socket=PATH</c>).
    /// </param>
    /// <param name="options">How to open it.</param>
    /// <param name="log">For warnings and later errors; none by default.</param>
    /// <exception cref="IOException">It cannot be opened; the message says why.</exception>
    /// <exception cref="FormatException"><paramref name="spec"/> is invalid, or does not fit the options.</exception>
    public static HostDisk Open(string spec, HostDiskOptions? options = null, ILogger? log = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(spec);
        options ??= new HostDiskOptions();
        options.Check();
        log = GuardedLog.Of(log ?? NullLogger.Instance);
        var port = DiskSpec.Open(spec, options.ReadOnly, options.Cache, log, options.Engine, options.IsRaw, options.IsIncoming);
        if (port.MinBlockBytes > options.LogicalBlockSize)
        {
            var smallest = port.MinBlockBytes;
            port.Dispose();
            throw new FormatException($"--disk {spec}: its server takes requests in blocks of {smallest} bytes, and guests would send blocks of {options.LogicalBlockSize}"
                + (smallest <= 4096 ? "; start with --logical-block-size 4096 (HostDiskOptions.LogicalBlockSize)" : "; guests have no blocks of that size"));
        }
        log.DiskEngineChosen(port.Description, port.Engine);
        return new HostDisk(port, options);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing && Interlocked.Exchange(ref _disposed, 1) == 0) Port.Dispose();
        base.Dispose(disposing);
    }
}
