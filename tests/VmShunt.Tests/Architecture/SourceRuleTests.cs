using System.Text.RegularExpressions;

namespace VmShunt.Tests.Architecture;

/// <summary>Rules of docs/architecture.md that only the source shows.</summary>
public partial class SourceRuleTests
{
    private static readonly string[] s_unsafePlaces = ["src/Ring/Memory/", "src/Ring/Interop/", "src/Ring/Virtqueue/"];

    [Fact]
    public void Unsafe_code_and_memory_order_stay_in_their_places()
    {
        var strays = Sources.Under("src")
            .Where(file => !s_unsafePlaces.Any(place => file.Path.StartsWith(place, StringComparison.Ordinal)))
            .Where(file => UnsafeOrOrdered().IsMatch(file.Code))
            .Select(file => file.Path);
        Assert.Empty(strays);
    }

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
        var longFiles = Sources.Under("src").Concat(Sources.Under("perf"))
            .Select(file => (file.Path, Lines: File.ReadLines(Path.Combine(Sources.Root, file.Path)).Count()))
            .Where(file => file.Lines > 400);
        Assert.Empty(longFiles);
    }

    [GeneratedRegex(@"\bunsafe\b|\bVolatile\b|\bvolatile\b|\bMemoryBarrier\b|\bReadBarrier\b|\bWriteBarrier\b")]
    private static partial Regex UnsafeOrOrdered();
}
