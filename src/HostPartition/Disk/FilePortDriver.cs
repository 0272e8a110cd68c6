using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using VmShunt.HostPartition.Log;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;

namespace VmShunt.HostPartition.Disk;

/// <summary>
/// A raw image file or a block device: positioned vectored I/O straight between the file and guest memory. Where it goes
/// through the page cache, reads are copied from a mapping of that instead, which needs no system call.
/// </summary>
internal sealed class FilePortDriver : PortDriver
{
    private static readonly byte[] s_zeros = new byte[64 * 1024];
    private readonly string _path;
    private readonly ILogger _log;
    private readonly SafeFileHandle _file;
    private readonly AlignedIo? _direct;
    private readonly DurableFlush _flush;
    private readonly bool _isBlockDevice;

    // The last is in use. Those before it, of a file that has grown, may still be read by requests.
    private readonly List<FileMapping> _mappings = [];
    private FileMapping? _mapping;
    private readonly bool _isQueued;
    private long _bytes;

    private FilePortDriver(string path, SafeFileHandle file, bool readOnly, bool direct, ILogger log, DiskEngine engine)
    {
        _path = path;
        _log = log;
        _file = file;
        _flush = new DurableFlush(() => DiskFile.Flush(file));
        IsReadOnly = readOnly;
        _bytes = DiskFile.GetSize(file);
        if (_bytes == 0) throw new IOException($"the disk {path} holds 0 bytes; a disk needs at least one sector of 512");
        ImageLock.Take(file, path, readOnly, log);
        var limits = BlockLimits.Of(file);
        _isBlockDevice = limits.IsBlockDevice;
        Topology = DiskTopology.Of(limits);
        if (direct) _direct = OpenDirect();
        else if (engine == DiskEngine.Mmap || (engine == DiskEngine.Auto && !FileMapping.WouldFillHoles(file))) Map(_bytes);
        // What goes to the device itself takes long enough to be worth doing side by side.
        _isQueued = engine == DiskEngine.Uring || (engine == DiskEngine.Auto && direct);
        if (engine == DiskEngine.Mmap && _mapping is null)
            throw new IOException($"the disk {path} cannot be opened with --engine mmap: its file system or this machine cannot map it; use --engine auto");
    }

    internal override string Description => _path;

    internal override long Bytes => Interlocked.Read(ref _bytes);

    // As a rule: what is mapped is in the page cache.
    internal override bool IsQuick => _mapping is not null;

    internal override bool IsReadOnly { get; }

    internal override DiskTopology Topology { get; }

    // A file's hole is zeros; what a device makes of a discard is its own business.
    internal override bool DiscardIsDeterministic => !_isBlockDevice;

    /// <summary>Opens an image or block device, and locks it.</summary>
    /// <param name="path">Where it is.</param>
    /// <param name="readOnly">Whether it is never written to; others may read it then too.</param>
    /// <param name="direct">Past the page cache.</param>
    /// <param name="log">For what happens later.</param>
    /// <param name="engine">How it is read.</param>
    /// <exception cref="IOException">It does not exist, may not be opened, holds nothing, or another process uses it.</exception>
    internal static FilePortDriver Open(string path, bool readOnly, bool direct, ILogger log, DiskEngine engine = DiskEngine.Auto)
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
            return new FilePortDriver(path, file, readOnly, direct, log, engine);
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
        if (bytes == 0) throw new IOException($"it holds 0 bytes now; its capacity stays {Bytes} bytes, and what is read from it fails");
        _direct?.Resize(bytes);
        if (_mapping is not null && bytes > Bytes) Map(bytes);
        Interlocked.Exchange(ref _bytes, bytes);
    }

    internal override void Read(IoVectors target, long offset) => Read(target, offset, -1);

    internal override void Read(IoVectors target, long offset, long next)
    {
        // What cannot be had from the mapping is asked of the kernel, which says why.
        if (_mapping is not null && _mapping.TryRead(target, offset, next)) return;
        var asked = target.TotalBytes;
        var read = _direct is null ? DiskFile.Read(_file, target, offset) : _direct.Read(target, offset);
        if (read == asked) return;
        // Past the end of the file lies the rest of the last sector, which is zeros. If more is missing, the file has shrunk.
        if (offset + read < Bytes)
            throw new IOException($"reading {asked} bytes at {offset}: {read} of them are in the file, which was {Bytes} bytes long; when its size changes, send SIGHUP");
        target.Zero();
    }

    internal override void Write(IoVectors source, long offset)
    {
        if (_direct is null) DiskFile.Write(_file, source, offset);
        else _direct.Write(source, offset);
    }

    internal override AsyncIoQueue? TryOpenQueue(int depth) => _isQueued ? AsyncIoQueue.TryOpen(_file, depth, _direct, Bytes) : null;

    internal override void Flush()
    {
        if (!IsReadOnly) _flush.Run();
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

    private void Map(long bytes)
    {
        if (FileMapping.TryCreate(_file, bytes) is not { } mapping) return;
        _mappings.Add(mapping);
        _mapping = mapping;
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
