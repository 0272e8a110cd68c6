using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Files;

namespace VmShunt.Hypervisor;

/// <summary>
/// The file that a partition's RAM is moved to when it crashes. No bus peer ever had a descriptor of it, and it is sealed
/// when it is complete, so a peer that keeps the old memory mapped cannot change what is dumped. The RAM is moved, not
/// copied, so that a machine short of memory can still do it.
/// </summary>
internal sealed class MemorySnapshot : IDisposable
{
    private const int ChunkBytes = 256 << 10;

    private readonly SafeFileHandle _file;
    private readonly long _bytes;
    private string? _sha256;

    /// <summary>Creates the file, without allocating its memory.</summary>
    /// <exception cref="IOException">The system refused.</exception>
    internal MemorySnapshot(int partition, ulong bytes)
    {
        _bytes = (long)bytes;
        _file = SharedMemoryFile.CreateForSealing($"vmshunt-dump-{partition}", _bytes);
        ForReading = SharedMemoryFile.OpenForReading(_file);
    }

    /// <summary>A read-only descriptor.</summary>
    internal SafeFileHandle ForReading { get; }

    /// <summary>Moves the RAM here and seals the file; only the first call does. The RAM reads as zeros afterwards.</summary>
    /// <returns>The SHA-256 of the content, in lower-case hex.</returns>
    /// <exception cref="IOException">There is not enough memory, or the RAM's file is too short.</exception>
    internal string Take(SafeFileHandle ram)
    {
        if (_sha256 is not null) return _sha256;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var chunk = new byte[ChunkBytes];
        for (long at = 0; at < _bytes;)
        {
            // Read from the file, not from a mapping, so that pages the guest never touched stay holes.
            var here = chunk.AsSpan(0, (int)Math.Min(_bytes - at, ChunkBytes));
            if (DiskFile.Read(ram, here, at) < here.Length) throw new IOException($"the partition's memory ends before {at + here.Length} of {_bytes} bytes");
            hash.AppendData(here);
            if (here.ContainsAnyExcept((byte)0))
            {
                DiskFile.Write(_file, here, at);
                SharedMemoryFile.Release(ram, at, here.Length);
            }
            at += here.Length;
        }
        SharedMemoryFile.SealContent(_file);
        return _sha256 = Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    public void Dispose()
    {
        ForReading.Dispose();
        _file.Dispose();
    }
}
