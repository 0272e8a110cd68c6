using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using VmShunt.BlockBackend.Log;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Disk;

/// <summary>
/// A raw image file or a block device: positioned vectored I/O between the file and guest memory. Through the page cache,
/// reads are copied from a mapping instead, without a system call.
/// </summary>
internal sealed class FilePortDriver : PortDriver
{
    private const string NoUring = "io_uring is not available to this process (kernel.io_uring_disabled, a seccomp filter, or an old kernel)";

    private static readonly byte[] s_zeros = new byte[64 * 1024];
    private readonly string _path;
    private readonly ILogger _log;
    private readonly SafeFileHandle _file;
    private readonly AlignedIo? _direct;
    private readonly bool _isBlockDevice;
    private readonly ImageLock _lock;
    private readonly DiskEngine _engine;

    // The last one is used. A file that grew has older ones, which requests may still read.
    private readonly List<FileMapping> _mappings = [];
    private FileMapping? _mapping;
    private readonly bool _isQueued;
    private long _bytes;

    private FilePortDriver(string path, SafeFileHandle file, bool readOnly, bool direct, ILogger log, DiskEngine engine, bool isRaw, bool isIncoming)
    {
        _path = path;
        _log = log;
        _engine = engine;
        _file = file;
        IsReadOnly = readOnly;
        if (!readOnly && BlockLimits.IsReadOnlyDevice(file))
            throw new IOException($"the disk {path} is a read-only device, so its guest's writes would fail: start VM-H with --read-only, or make it writable (blockdev --setrw)");
        _bytes = DiskFile.GetSize(file);
        if (_bytes == 0) throw new IOException($"the disk {path} holds 0 bytes; a disk needs at least one sector of 512");
        _lock = new ImageLock(file, path, readOnly, log);
        if (!isIncoming) _lock.Acquire();
        var limits = BlockLimits.Of(file);
        _isBlockDevice = limits.IsBlockDevice;
        if (!isRaw && !_isBlockDevice) ImageProbe.Check(file, path, _bytes, log);
        Topology = DiskTopology.Of(limits);
        if (direct) _direct = OpenDirect();
        else if (engine == DiskEngine.Mmap || (engine == DiskEngine.Auto && !FileMapping.WouldFillHoles(file))) Map(_bytes);
        // Requests that reach the device take long enough to gain from concurrency.
        _isQueued = engine == DiskEngine.Uring || (engine == DiskEngine.Auto && direct);
        if (engine == DiskEngine.Uring && !HasUring())
            throw new IOException($"the disk {path} cannot be opened with --engine uring: {NoUring}; use --engine auto");
        if (engine == DiskEngine.Mmap && Mapping is null)
            throw new IOException($"the disk {path} cannot be opened with --engine mmap: its file system or this machine does not support the mapping; use --engine auto");
    }

    internal override string Description => _path;

    internal override string Engine =>
        Mapping is not null && !_isQueued ? $"engine mmap, {BulkCopy.Description}"
        : !_isQueued ? $"engine pread, because {WhyNotMapped()}"
        : HasUring() ? "engine uring, no copy by this process"
        : $"engine pread, because {NoUring}";

    // Refresh changes it while requests run. No other data depends on it.
    internal override long Bytes => Ordered.Load(ref _bytes);

    // What is mapped is usually in the page cache.
    internal override bool IsMemoryResident => Mapping is not null;

    internal override bool CanAbandon => _direct is null && BulkCopy.Unguarded is null;

    // Refresh replaces it while requests run: acquire, so that the mapping is seen initialized.
    private FileMapping? Mapping => Ordered.Load(ref _mapping);

    internal override bool IsReadOnly { get; }

    internal override bool IsOwned => _lock.IsHeld;

    internal override bool CanDisown => true;

    internal override bool TryOwn(bool isHolderWanted, out string holder)
    {
        var isLocked = _lock.TryAcquire(isHolderWanted, out var process);
        holder = isLocked ? "" : ImageLock.Describe(process);
        return isLocked;
    }

    internal override void Disown() => _lock.Release();

    internal override DiskTopology Topology { get; }

    // A hole in a file reads as zeros; the content of a discarded range of a device is undefined.
    internal override bool DiscardIsDeterministic => !_isBlockDevice;

    /// <summary>Opens and locks an image or block device.</summary>
    /// <param name="path">Its path.</param>
    /// <param name="readOnly">Whether to open it read-only; other processes may read it too then.</param>
    /// <param name="direct">Whether to bypass the page cache (O_DIRECT).</param>
    /// <param name="log">For later warnings.</param>
    /// <param name="engine">How requests are carried out.</param>
    /// <param name="isRaw">Whether a file is raw whatever its content looks like.</param>
    /// <param name="isIncoming">Whether another process uses the disk until its guest has migrated to this one: it is not locked yet.</param>
    /// <exception cref="IOException">It does not exist, cannot be opened, is empty, has another format, or is locked by another process.</exception>
    internal static FilePortDriver Open(string path, bool readOnly, bool direct, ILogger log, DiskEngine engine = DiskEngine.Auto, bool isRaw = false, bool isIncoming = false)
    {
        if (Directory.Exists(path)) throw new IOException($"the disk {path} is a directory; name a raw image or a block device");
        SafeFileHandle file;
        try
        {
            file = OpenHandle(path, readOnly);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new IOException($"cannot open the disk {path}: {e.Message}", e);
        }
        try
        {
            return new FilePortDriver(path, file, readOnly, direct, log, engine, isRaw, isIncoming);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    internal override void Refresh()
    {
        var bytes = DiskFile.GetSize(_file);
        if (bytes == 0) throw new IOException($"its size is 0 bytes now; the capacity stays {Bytes} bytes, and reads fail");
        _direct?.Resize(bytes);
        if (Mapping is not null && bytes > Bytes) Map(bytes);
        Ordered.Store(ref _bytes, bytes);
    }

    internal override void Read(IoVectors target, long offset) => Read(target, offset, -1);

    internal override void Read(IoVectors target, long offset, long next)
    {
        // Where the mapping cannot be read, the system call returns the error.
        if (Mapping is { } mapping && mapping.TryRead(target, offset, next)) return;
        var wanted = target.TotalBytes;
        var read = _direct is null ? DiskFile.Read(_file, target, offset) : _direct.Read(target, offset);
        if (read == wanted) return;
        // The part of the last sector past the end of the file reads as zeros. If more is missing, the file was truncated.
        if (offset + read < Bytes)
            throw new IOException($"a read of {wanted} bytes at offset {offset} returned {read}: the file was truncated; its size was {Bytes} bytes (send SIGHUP after changing the size)");
        target.Zero();
    }

    internal override void Write(IoVectors source, long offset)
    {
        if (_direct is null) DiskFile.Write(_file, source, offset);
        else _direct.Write(source, offset);
    }

    internal override AsyncIoQueue? TryOpenQueue(int depth, GuestMemory memory) => _isQueued ? UringQueue.TryOpen(_file, depth, _direct, Bytes) : null;

    internal override void Flush()
    {
        if (!IsReadOnly) DiskFile.Flush(_file);
    }

    internal override bool TryDiscard(long offset, long bytes) =>
        _isBlockDevice ? DiskFile.TryDiscardBlocks(_file, offset, bytes) : DiskFile.TryPunchHole(_file, offset, bytes);

    internal override bool TryUnmap(long offset, long bytes) => DiskFile.TryPunchHole(_file, offset, bytes);

    internal override void WriteZeroes(long offset, long bytes)
    {
        if (_isBlockDevice ? DiskFile.TryZeroBlocks(_file, offset, bytes) : DiskFile.TryZeroRange(_file, offset, bytes)) return;
        if (_direct is not null)
        {
            _direct.WriteZeroes(offset, bytes);
            return;
        }
        for (; bytes > 0; bytes -= s_zeros.Length, offset += s_zeros.Length)
            DiskFile.Write(_file, s_zeros.AsSpan(0, (int)Math.Min(bytes, s_zeros.Length)), offset);
    }

    public override void Dispose()
    {
        if (_direct is { CopiedRequests: > 0 }) _log.RequestsCopied(_path, _direct.CopiedRequests, _direct.CopiedBytes);
        foreach (var mapping in _mappings) mapping.Dispose();
        _direct?.Dispose();
        _file.Dispose();
    }

    private string WhyNotMapped() =>
        _engine == DiskEngine.PRead ? "--engine pread was given"
        : _direct is not null ? "--cache direct bypasses the page cache"
        : BulkCopy.Unguarded ?? (FileMapping.WouldFillHoles(_file)
            ? "the file has holes on tmpfs, which mapped reads would fill (--engine mmap maps it all the same)"
            : "the file cannot be mapped");

    private bool HasUring()
    {
        using var probe = UringQueue.TryOpen(_file, 1, _direct, Bytes);
        return probe is not null;
    }

    private void Map(long bytes)
    {
        if (FileMapping.TryCreate(_file, bytes) is not { } mapping) return;
        _mappings.Add(mapping);
        Ordered.Store(ref _mapping, mapping);
    }

    private static SafeFileHandle OpenHandle(string path, bool readOnly) =>
        File.OpenHandle(path, FileMode.Open, readOnly ? FileAccess.Read : FileAccess.ReadWrite, FileShare.ReadWrite);

    private AlignedIo OpenDirect()
    {
        if (!DirectIo.TryEnable(_file, out var alignment))
            throw new IOException($"the disk {_path} cannot be opened with --cache direct: its file system refuses direct I/O (O_DIRECT); use --cache writeback or writethrough");
        var hasTail = !IsReadOnly && !_isBlockDevice && alignment.BlockBytes > HostClassDriver.SectorBytes;
        return new AlignedIo(_file, alignment, _bytes, hasTail ? OpenHandle($"/proc/self/fd/{_file.DangerousGetHandle()}", readOnly: false) : null);
    }
}
