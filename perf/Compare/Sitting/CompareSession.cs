using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Sitting;

/// <summary>
/// One sitting: what all rows share. The disk's file, the calibration, where programs and sockets are, and who watches
/// over processes that are started.
/// </summary>
internal sealed class CompareSession : IDisposable
{
    // The page cache keeps what is written in one piece of 2 MiB in one page of that size, as it does what is read ahead from
    // a disk. In smaller ones each 4 KiB is mapped by itself, and found anew, which takes microseconds on a machine whose
    // page tables are shadowed, after others have run.
    private const int ContentSeed = 20071, Piece = 2 << 20;

    private readonly WorkFolder _folder = new();
    private readonly Lazy<string> _bootDisk;
    private int _sockets;

    internal CompareSession(CompareOptions options, Narrator narrator, CancellationToken cancel)
    {
        Options = options;
        Narrator = narrator;
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

    internal Narrator Narrator { get; }

    internal CancellationToken Cancel { get; }

    internal OrphanGuard Guard { get; } = new();

    internal Calibration Calibration { get; }

    /// <summary>A file of noise on the temporary folder's file system.</summary>
    internal string DiskFile { get; }

    /// <summary>A disk that a guest boots from, as <c>launch</c> makes it.</summary>
    internal string BootDisk => _bootDisk.Value;

    internal SectorRange WholeDisk => new(0, Options.DiskBytes / 512);

    internal string NewSocket() => _folder[$"{_sockets++}.sock"];

    internal string File(string name) => _folder[name];

    /// <summary>One of our own programs.</summary>
    internal string Own(string name) => Path.Combine(Options.ProgramFolder, name);

    public void Dispose()
    {
        Calibration.Dispose();
        Guard.Dispose();
        _folder.Dispose();
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
