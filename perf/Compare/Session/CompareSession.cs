using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Session;

/// <summary>
/// What all rows of one run share: the disk's file, the calibration, paths of programs and sockets, and the guard that
/// kills child processes if this one is killed.
/// </summary>
internal sealed class CompareSession : IDisposable
{
    // The page cache keeps a write of 2 MiB in one folio of that size, as it keeps read-ahead. After smaller writes every
    // 4 KiB page is mapped on its own, which costs microseconds per page on a machine with shadow page tables.
    private const int ContentSeed = 20071, Piece = 2 << 20;

    private readonly WorkFolder _folder = new();
    private readonly Lazy<string> _bootDisk;
    private int _sockets;

    internal CompareSession(CompareOptions options, ProgressLog log, CancellationToken cancel)
    {
        Options = options;
        Log = log;
        Cancel = cancel;
        _bootDisk = new(MakeBootDisk);
        try
        {
            DiskFile = _folder["disk.img"];
            MakeDisk();
            Calibration = new Calibration(options.DiskBytes, Guard);
        }
        catch
        {
            Guard.Dispose();
            _folder.Dispose();
            throw;
        }
    }

    internal CompareOptions Options { get; }

    internal ProgressLog Log { get; }

    internal CancellationToken Cancel { get; }

    internal OrphanGuard Guard { get; } = new();

    internal Calibration Calibration { get; }

    /// <summary>A file of random bytes on the file system of the temporary folder.</summary>
    internal string DiskFile { get; }

    /// <summary>A disk that a guest boots from, made as <c>launch</c> makes it.</summary>
    internal string BootDisk => _bootDisk.Value;

    internal SectorRange WholeDisk => new(0, Options.DiskBytes / 512);

    internal string NewSocket() => _folder.Socket($"{_sockets++}.sock");

    internal string File(string name) => _folder[name];

    /// <summary>The path of a VmShunt program.</summary>
    internal string Own(string name) => OwnPrograms.Find(name, Options.ProgramFolder);

    public void Dispose()
    {
        try
        {
            Calibration.Dispose();
            Guard.Dispose();
        }
        finally
        {
            _folder.Dispose();
        }
    }

    private string MakeBootDisk()
    {
        DefaultDisk.Make(_folder["boot.img"], Options.ProgramFolder, new LaunchOptions().MemoryBytes);
        return _folder["boot.img"];
    }

    private void MakeDisk()
    {
        var random = new Random(ContentSeed);
        var piece = new byte[Piece];
        using var file = System.IO.File.OpenHandle(DiskFile, FileMode.CreateNew, FileAccess.Write);
        for (long at = 0; at < Options.DiskBytes; at += Piece)
        {
            random.NextBytes(piece);
            RandomAccess.Write(file, piece, at);
        }
        RandomAccess.FlushToDisk(file);
    }
}
