using System.Globalization;
using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Chaos;

/// <summary>
/// A part of the disk of which the test knows every byte. Scripts write it, and each script touches a sector once: after an
/// interrupted script each of its sectors has its old content or its new one, and its new one if the request was acknowledged.
/// </summary>
internal sealed class ModelledPart
{
    private const int SectorBytes = 512;

    private readonly string _disk;
    private readonly long _firstSector;
    private byte[] _content;
    private byte[]? _before;
    private RequestScript? _script;

    /// <param name="disk">The disk's file.</param>
    /// <param name="firstSector">The first sector of the part.</param>
    /// <param name="sectors">Its length in sectors.</param>
    internal ModelledPart(string disk, long firstSector, long sectors)
    {
        _disk = disk;
        _firstSector = firstSector;
        _content = new byte[sectors * SectorBytes];
        _content = Read();
    }

    /// <summary>The next script; until <see cref="Done"/> each of its sectors may be old or new.</summary>
    internal RequestScript Next(int seed, int requests)
    {
        _before = (byte[])_content.Clone();
        return _script = RequestScript.MakeDisjoint(_content, _firstSector, seed, requests);
    }

    /// <summary>All requests of the script succeeded.</summary>
    internal void Done() => _before = null;

    /// <summary>The script was interrupted after that many of its requests were acknowledged.</summary>
    /// <returns>How many of these changed the disk.</returns>
    internal int Interrupted(int acknowledged)
    {
        var changed = 0;
        foreach (var line in _script!.Lines.Where(static line => line != "wait").Take(acknowledged))
        {
            if (line.Split(' ') is not ["write" or "discard" or "zero", var sector, var bytes, ..]) continue;
            var at = (int)(long.Parse(sector, CultureInfo.InvariantCulture) - _firstSector) * SectorBytes;
            _content.AsSpan(at, int.Parse(bytes, CultureInfo.InvariantCulture)).CopyTo(_before.AsSpan(at));
            changed++;
        }
        return changed;
    }

    /// <summary>Compares the file with the model; what an interrupted script wrote is read from the file.</summary>
    /// <returns>Null, or what is wrong.</returns>
    internal string? Check()
    {
        var found = Read();
        for (var at = 0; at < found.Length; at += SectorBytes)
        {
            var sector = found.AsSpan(at, SectorBytes);
            if (sector.SequenceEqual(_content.AsSpan(at, SectorBytes))) continue;
            if (_before is not null && sector.SequenceEqual(_before.AsSpan(at, SectorBytes))) continue;
            return $"sector {_firstSector + at / SectorBytes} holds content that was not the last written there";
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
            Assert.True(read > 0, "the disk is too short");
            at += read;
        }
        return content;
    }
}
