using System.Globalization;
using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Chaos;

/// <summary>
/// A part of the disk of which the test knows every byte. It is written by scripts, of which each touches a sector once: a
/// script that was cut off leaves each of its sectors as it was or as it was to be, as it was to be if the guest had been told
/// that it is done, and every other one untouched.
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
        return _script = RequestScript.MakeDisjoint(_content, _firstSector, seed, requests);
    }

    /// <summary>All requests of the script have ended well.</summary>
    internal void Done() => _before = null;

    /// <summary>The script was cut off; the guest had been told of so many of its requests that they are done.</summary>
    /// <returns>How many of these changed the disk.</returns>
    internal int CutOff(int acknowledged)
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
