using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Chaos;

/// <summary>
/// A part of the disk of which the test knows every byte. It is written by scripts, of which each touches a sector once: a
/// script that was cut off leaves each of its sectors as it was or as it was to be, and every other one untouched.
/// </summary>
internal sealed class ModelledPart
{
    private const int SectorBytes = 512;

    private readonly string _disk;
    private readonly long _firstSector;
    private byte[] _content;
    private byte[]? _before;

    /// <param name="disk">The disk's file.</param>
    /// <param name="firstSector">Where the part starts.</param>
    /// <param name="sectors">How long it is.</param>
    internal ModelledPart(string disk, long firstSector, long sectors)
    {
        _disk = disk;
        _firstSector = firstSector;
        _content = new byte[sectors * SectorBytes];
        _content = Read();
    }

    /// <summary>The next script; until <see cref="Done"/> it is uncertain how far it came.</summary>
    internal RequestScript Next(int seed, int requests)
    {
        _before = (byte[])_content.Clone();
        return RequestScript.MakeDisjoint(_content, _firstSector, seed, requests);
    }

    /// <summary>All requests of the script have ended well.</summary>
    internal void Done() => _before = null;

    /// <summary>Compares the file with the model; what a script that was cut off did is learned from the file.</summary>
    /// <returns>Null, or what is wrong.</returns>
    internal string? Check()
    {
        var found = Read();
        for (var at = 0; at < found.Length; at += SectorBytes)
        {
            var sector = found.AsSpan(at, SectorBytes);
            if (sector.SequenceEqual(_content.AsSpan(at, SectorBytes))) continue;
            if (_before is not null && sector.SequenceEqual(_before.AsSpan(at, SectorBytes))) continue;
            return $"sector {_firstSector + at / SectorBytes} holds what was never written there, or not last";
        }
        _content = found;
        _before = null;
        return null;
    }

    private byte[] Read()
    {
        using var file = File.OpenHandle(_disk, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        var content = new byte[_content.Length];
        for (var at = 0; at < content.Length;)
        {
            var read = RandomAccess.Read(file, content.AsSpan(at), _firstSector * SectorBytes + at);
            Assert.True(read > 0, "the disk ends too early");
            at += read;
        }
        return content;
    }
}
