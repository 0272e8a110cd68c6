using System.Buffers.Binary;
using System.Security.Cryptography;
using VmShunt.Trap.VmExit;

namespace VmShunt.Perf.Launch;

/// <summary>
/// Reads an exported ELF64 core (System V ABI, "Program Header") independently of the guest, so that the guest's statement
/// about its dump is checked.
/// </summary>
internal static class CoreFile
{
    private const int HeaderBytes = 64, ProgramHeaderBytes = 56, MaxSegments = 4096;
    private const uint PT_LOAD = 1;
    private const ushort ET_CORE = 4;

    /// <summary>The SHA-256 of the RAM in a core in address order, without the crash reserve, in lower-case hex.</summary>
    /// <exception cref="LaunchException">The file is not a core.</exception>
    internal static string HashMemory(string path)
    {
        using FileStream file = File.OpenRead(path);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[1 << 20];
        foreach ((var address, var offset, var bytes) in ReadSegments(file, path).OrderBy(static segment => segment.Address))
        {
            if (address is >= GuestLayout.CrashReserveAddress and < GuestLayout.CrashReserveAddress + GuestLayout.CrashReserveBytes) continue;
            file.Position = offset;
            for (var left = bytes; left > 0;)
            {
                var n = file.Read(buffer, 0, (int)Math.Min(left, buffer.Length));
                if (n == 0) throw new LaunchException($"{path} is truncated within the memory at 0x{address:x}");
                hash.AppendData(buffer, 0, n);
                left -= n;
            }
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static List<(ulong Address, long Offset, long Bytes)> ReadSegments(FileStream file, string path)
    {
        var header = new byte[HeaderBytes];
        if (file.ReadAtLeast(header, HeaderBytes, throwOnEndOfStream: false) < HeaderBytes || !header.AsSpan(0, 6).SequenceEqual("\u007fELF\u0002\u0001"u8)
            || BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(16)) != ET_CORE)
        {
            throw new LaunchException($"{path} is not a little-endian ELF64 core");
        }
        int count = BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(56));
        if (count > MaxSegments || BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(54)) != ProgramHeaderBytes)
            throw new LaunchException($"{path} has invalid program headers");
        file.Position = BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(32));
        var segments = new List<(ulong, long, long)>();
        var entry = new byte[ProgramHeaderBytes];
        for (var i = 0; i < count; i++)
        {
            file.ReadExactly(entry);
            if (BinaryPrimitives.ReadUInt32LittleEndian(entry) != PT_LOAD) continue;
            segments.Add((
                BinaryPrimitives.ReadUInt64LittleEndian(entry.AsSpan(24)),
                BinaryPrimitives.ReadInt64LittleEndian(entry.AsSpan(8)),
                BinaryPrimitives.ReadInt64LittleEndian(entry.AsSpan(32))));
        }
        return segments;
    }
}
