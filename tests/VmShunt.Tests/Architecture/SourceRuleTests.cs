using System.Text.RegularExpressions;

namespace VmShunt.Tests.Architecture;

/// <summary>Rules of docs/architecture.md that only the source shows.</summary>
public partial class SourceRuleTests
{
    private const string UnsafeFolder = "src/Ring/Memory/";

    [Fact]
    public void Unsafe_code_and_memory_order_stay_in_one_folder()
    {
        var sources = Sources.Under("src").Concat(Sources.Under("perf")).ToList();
        Assert.Equal([], sources
            .Where(static file => !file.Path.StartsWith(UnsafeFolder, StringComparison.Ordinal) && UnsafeOrOrdered().IsMatch(file.Code))
            .Select(static file => file.Path));
        Assert.InRange(sources.Count(static file => Unsafe().IsMatch(file.Code)), 1, 6);
    }

    // A message header holds the addresses of pinned data, and sockets rank below Memory.
    [Fact]
    public void No_address_is_taken_through_Unsafe_but_for_a_message_header() =>
        Assert.Equal(["src/Ring/Interop/SocketMessage.cs"], Sources.Under("src").Concat(Sources.Under("perf"))
            .Where(static file => !file.Path.StartsWith(UnsafeFolder, StringComparison.Ordinal) && AddressOf().IsMatch(file.Code))
            .Select(static file => file.Path));

    [Fact]
    public void No_Interlocked_operation_is_used_as_a_load() =>
        Assert.Equal([], Sources.Under("src").Concat(Sources.Under("perf"))
            .Where(static file => LoadByExchange().IsMatch(file.Code))
            .Select(static file => $"{file.Path}: {LoadByExchange().Match(file.Code).Value}"));

    [Theory]
    [InlineData("Interlocked.CompareExchange(ref x, 0, 0)", true)]
    [InlineData("Interlocked.CompareExchange(ref _a[i + 1], null, null)", true)]
    [InlineData("Interlocked.CompareExchange<Entry?>(\n    ref entry.Next, null, null)", true)]
    [InlineData("Interlocked.CompareExchange(ref Of(x, y), 0L, 0L)", true)]
    [InlineData("Interlocked.CompareExchange(ref x, 1, 0)", false)]
    [InlineData("Interlocked.CompareExchange(ref x, now, last)", false)]
    [InlineData("Interlocked.CompareExchange(ref x, 10, 0)", false)]
    [InlineData("Interlocked.CompareExchange(ref x, 0, 00)", false)]
    public void A_load_by_compare_exchange_is_recognized(string code, bool isLoad) => Assert.Equal(isLoad, LoadByExchange().IsMatch(code));

    [Fact]
    public void Only_the_ground_floor_may_contain_unsafe_blocks()
    {
        var projects = Directory.EnumerateFiles(Sources.Root, "*.csproj", SearchOption.AllDirectories)
            .Where(file => File.ReadAllText(file).Contains("AllowUnsafeBlocks", StringComparison.Ordinal))
            .Select(Path.GetFileName);
        Assert.Equal(["VmShunt.Ring.csproj"], projects);
    }

    [Fact]
    public void No_file_is_named_after_nothing_in_particular()
    {
        string[] forbidden = ["Common", "Util", "Helper", "Base", "Manager"];
        var bad = Sources.Under("src").Concat(Sources.Under("perf"))
            .Select(file => file.Path)
            .Where(path => path.Split('/', '.').Any(part => forbidden.Any(word => part == word || part == word + "s" || part.EndsWith(word, StringComparison.Ordinal))));
        Assert.Empty(bad);
    }

    [Fact]
    public void A_file_is_one_idea_and_so_not_long()
    {
        var longFiles = ((string[])["src", "perf", "tests"]).SelectMany(Sources.Under)
            .Select(file => (file.Path, Lines: File.ReadLines(Path.Combine(Sources.Root, file.Path)).Count()))
            .Where(file => file.Lines > 400);
        Assert.Empty(longFiles);
    }

    [GeneratedRegex(@"\bunsafe\b|\bVolatile\b|\bvolatile\b|\bMemoryBarrier\b|\bReadBarrier\b|\bWriteBarrier\b")]
    private static partial Regex UnsafeOrOrdered();

    [GeneratedRegex(@"\bunsafe\b")]
    private static partial Regex Unsafe();

    [GeneratedRegex(@"\bUnsafe\.(AsPointer|AsRef|NullRef|ByteOffset|AddByteOffset|SubtractByteOffset|Add|Subtract)\b")]
    private static partial Regex AddressOf();

    // The last two arguments are the same.
    [GeneratedRegex(@"\bCompareExchange(<[^>]*>)?\(\s*ref\s(?:[^;()]|\([^()]*\))*?,\s*(?<value>[\w.]+)\s*,\s*\k<value>\s*\)")]
    private static partial Regex LoadByExchange();
}
