using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.HostPartition.HardwareStack;

/// <summary>A raw image file or a block device: positioned vectored I/O straight between the file and guest memory.</summary>
internal sealed class FilePortDriver : PortDriver
{
    private static readonly byte[] s_zeros = new byte[64 * 1024];
    private readonly string _path;
    private readonly SafeFileHandle _file;
    private long _bytes;

    private FilePortDriver(string path, SafeFileHandle file, long bytes, bool readOnly)
    {
        _path = path;
        _file = file;
        _bytes = bytes;
        IsReadOnly = readOnly;
    }

    internal override string Description => _path;

    internal override long Bytes => Interlocked.Read(ref _bytes);

    internal override bool IsReadOnly { get; }

    /// <summary>Opens an image or block device.</summary>
    /// <exception cref="IOException">It does not exist, may not be opened, or holds nothing.</exception>
    internal static FilePortDriver Open(string path, bool readOnly, bool writeThrough)
    {
        if (Directory.Exists(path)) throw new IOException($"the disk {path} is a directory; name a raw image or a block device");
        SafeFileHandle file;
        try
        {
            file = File.OpenHandle(
                path,
                FileMode.Open,
                readOnly ? FileAccess.Read : FileAccess.ReadWrite,
                FileShare.ReadWrite,
                writeThrough ? FileOptions.WriteThrough : FileOptions.None);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new IOException($"cannot open the disk {path}: {e.Message}", e);
        }
        try
        {
            var bytes = DiskFile.GetSize(file);
            if (bytes == 0) throw new IOException($"the disk {path} holds 0 bytes; a disk needs at least one sector of 512");
            if (!FileLock.TryTake(file, exclusive: !readOnly, out var holder)) throw new IOException(InUse(path, readOnly, holder));
            return new FilePortDriver(path, file, bytes, readOnly);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private static string InUse(string path, bool readOnly, int holder)
    {
        var who = holder == 0 ? "another process" : $"process {holder} ({NameOf(holder)})";
        return $"the disk {path} is {(readOnly ? "written" : "used")} by {who}; stop that first{(readOnly ? "" : ", or open it --read-only on both sides")}";
    }

    private static string NameOf(int process)
    {
        try
        {
            return File.ReadAllText($"/proc/{process}/comm").Trim();
        }
        catch (IOException)
        {
            return "gone by now";
        }
    }

    internal override void Refresh() => Interlocked.Exchange(ref _bytes, DiskFile.GetSize(_file));

    internal override void Read(IoVectors target, long offset)
    {
        var asked = target.TotalBytes;
        var read = DiskFile.Read(file: _file, target, offset);
        // A short read ends at the end of the file: the rest of the last sector is zeros.
        if (read < asked) target.Zero();
    }

    internal override void Write(IoVectors source, long offset) => DiskFile.Write(_file, source, offset);

    internal override void Flush()
    {
        if (!IsReadOnly) DiskFile.Flush(_file);
    }

    internal override bool TryDiscard(long offset, long bytes) => DiskFile.TryPunchHole(_file, offset, bytes);

    internal override void WriteZeroes(long offset, long bytes)
    {
        if (DiskFile.TryZeroRange(_file, offset, bytes)) return;
        for (; bytes > 0; bytes -= s_zeros.Length, offset += s_zeros.Length)
            RandomAccess.Write(_file, s_zeros.AsSpan(0, (int)Math.Min(bytes, s_zeros.Length)), offset);
    }

    public override void Dispose() => _file.Dispose();
}
