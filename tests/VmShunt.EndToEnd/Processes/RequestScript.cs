using System.Globalization;
using System.Security.Cryptography;

namespace VmShunt.EndToEnd.Processes;

/// <summary>
/// A random stream of requests, good and bad, as a script for the guest's <c>replay</c>, with the result that a model
/// gives for each: a disk that is an array of bytes.
/// </summary>
internal sealed class RequestScript
{
    private const int SectorBytes = 512, MaxTogether = 12;

    private readonly Random _random;
    private readonly byte[] _disk;
    private readonly bool _isReadOnly;
    private readonly List<string> _lines = [];
    private readonly List<string> _expected = [];
    private readonly HashSet<long> _touched = [];

    private long? _first;

    private RequestScript(byte[] disk, int seed, bool isReadOnly)
    {
        _disk = disk;
        _random = new Random(seed);
        _isReadOnly = isReadOnly;
    }

    internal IReadOnlyList<string> Lines => _lines;

    /// <summary>The requests, each with its line of the transcript.</summary>
    internal IEnumerable<(string Line, string Expected)> Requests => _lines.Where(static line => line != "wait").Zip(_expected);

    /// <summary>The transcript that the guest must write.</summary>
    internal IReadOnlyList<string> Expected => _expected;

    /// <summary>Makes a script and applies it to the model.</summary>
    /// <param name="disk">The model's content.</param>
    /// <param name="seed">The same seed makes the same script.</param>
    /// <param name="requests">How many.</param>
    /// <param name="isReadOnly">Whether the disk refuses to change.</param>
    internal static RequestScript Make(byte[] disk, int seed, int requests, bool isReadOnly)
    {
        var script = new RequestScript(disk, seed, isReadOnly);
        for (var i = 0; i < requests; i++)
        {
            if (i % MaxTogether == 0) script.Wait();
            script.AddOne();
        }
        return script;
    }

    /// <summary>
    /// As <see cref="Make"/>, on a part of the disk, with good requests only, of which no two touch the same sector: whatever
    /// part of it ran, each sector has its old content or its new one.
    /// </summary>
    /// <param name="part">The model of that part of the disk.</param>
    /// <param name="firstSector">Where it starts on the disk.</param>
    /// <param name="seed">The same seed makes the same script.</param>
    /// <param name="requests">How many at most.</param>
    internal static RequestScript MakeDisjoint(byte[] part, long firstSector, int seed, int requests)
    {
        var script = new RequestScript(part, seed, isReadOnly: false) { _first = firstSector };
        for (var i = 0; i < requests; i++)
        {
            if (i % MaxTogether == 0) script._lines.Add("wait");
            script.AddOne();
        }
        return script;
    }

    private long Sectors => _disk.Length / SectorBytes;

    private void AddOne()
    {
        switch (_random.Next(20))
        {
            case < 8:
                OnRange("read", (at, bytes) => "ok " + Convert.ToHexStringLower(SHA256.HashData(_disk.AsSpan(at, bytes))));
                break;
            case < 13:
                var seed = _random.Next();
                OnRange("write", (at, bytes) => Change(() => new Random(seed).NextBytes(_disk.AsSpan(at, bytes))), " " + seed.ToString(CultureInfo.InvariantCulture));
                break;
            case < 15:
                Add("flush", "ok");
                break;
            case < 16:
                OnRange("discard", (at, bytes) => Change(() => _disk.AsSpan(at, bytes).Clear()));
                break;
            case < 17:
                OnRange("zero", (at, bytes) => Change(() => _disk.AsSpan(at, bytes).Clear()));
                break;
            default:
                if (_first is null) AddBad();
                break;
        }
    }

    private void AddBad()
    {
        var (operation, tail) = _random.Next(4) switch { 0 => ("read", ""), 1 => ("write", " 1"), 2 => ("discard", ""), _ => ("zero", "") };
        var (sector, bytes) = _random.Next(5) switch
        {
            0 => ((ulong)Sectors, SectorBytes),
            1 => ((ulong)Sectors - 1, 2 * SectorBytes),
            2 => (ulong.MaxValue, SectorBytes),
            3 => (0UL, 0),
            _ => (0UL, SectorBytes + 1),
        };
        Add(string.Create(CultureInfo.InvariantCulture, $"{operation} {sector} {bytes}{tail}"), "refused");
    }

    private void OnRange(string operation, Func<int, int, string> apply, string tail = "")
    {
        // Mostly small, sometimes long enough for several descriptors, PRDT entries and holes in the file.
        var sectors = _random.Next(8) == 0 ? _random.Next(1, 1024) : _random.Next(1, 17);
        var first = _random.NextInt64(Sectors - sectors);
        // Requests in flight at the same time touch no sector twice.
        if (Enumerable.Range(0, sectors).Any(i => _touched.Contains(first + i)))
        {
            if (_first is not null) return;
            Wait();
        }
        for (var i = 0; i < sectors; i++) _touched.Add(first + i);
        Add(string.Create(CultureInfo.InvariantCulture, $"{operation} {first + (_first ?? 0)} {sectors * SectorBytes}{tail}"), apply((int)first * SectorBytes, sectors * SectorBytes));
    }

    private string Change(Action change)
    {
        if (_isReadOnly) return "IoError";
        change();
        return "ok";
    }

    private void Wait()
    {
        _lines.Add("wait");
        _touched.Clear();
    }

    private void Add(string line, string expected)
    {
        _lines.Add(line);
        _expected.Add(expected);
    }
}
