using System.Text.RegularExpressions;

namespace VmShunt.Tests.Architecture;

/// <summary>docs/patent-map.md says what is there: every row, and only tests and files that exist.</summary>
public partial class PatentMapTests
{
    private static readonly string[][] s_rows =
        [.. File.ReadLines(Path.Combine(Sources.Root, "docs", "patent-map.md"))
            .Where(line => line.StartsWith("| P", StringComparison.Ordinal))
            .Select(line => line.Trim('|', ' ').Split('|', StringSplitOptions.TrimEntries))];

    [Fact]
    public void Every_row_is_there_once_and_in_order()
    {
        Assert.Equal(Enumerable.Range(1, 67).Select(i => $"P{i:D2}"), s_rows.Select(row => row[0]));
        Assert.All(s_rows, row => Assert.Equal(5, row.Length));
    }

    [Fact]
    public void Every_row_names_a_test_or_says_that_it_is_open() =>
        Assert.All(s_rows, row => Assert.True(row[3].StartsWith("**open**", StringComparison.Ordinal) || TestName().IsMatch(row[3]), row[0]));

    [Theory]
    [InlineData("patent-map.md", 60)]
    [InlineData("conformance.md", 60)]
    [InlineData("hostile-inputs.md", 60)]
    [InlineData("failure-modes.md", 20)]
    public void Every_test_that_is_named_exists(string page, int atLeast)
    {
        var tests = Sources.Under("tests").SelectMany(file => TestMethod().Matches(file.Code)).Select(match => match.Groups[1].Value).ToHashSet();
        var named = TestName().Matches(File.ReadAllText(Path.Combine(Sources.Root, "docs", page))).Select(match => match.Groups[1].Value).ToHashSet();
        Assert.Equal([], named.Except(tests));
        Assert.InRange(named.Count, atLeast, int.MaxValue);
    }

    [Fact]
    public void Every_file_that_is_named_exists()
    {
        var files = Sources.Under("src").Concat(Sources.Under("perf")).Select(file => "/" + file.Path).ToList();
        Assert.Empty(s_rows.SelectMany(row => FileName().Matches(row[2]).Select(match => match.Groups[1].Value)
            .Where(name => !files.Exists(file => file.EndsWith("/" + name, StringComparison.Ordinal))).Select(name => $"{row[0]}: {name}")));
    }

    [GeneratedRegex("`([A-Z][A-Za-z0-9]*_[A-Za-z0-9_]+)`")]
    private static partial Regex TestName();

    [GeneratedRegex(@"public (?:async )?(?:void|Task) ([A-Z][A-Za-z0-9]*_[A-Za-z0-9_]+)\(")]
    private static partial Regex TestMethod();

    [GeneratedRegex(@"`([A-Za-z/]+\.cs)`")]
    private static partial Regex FileName();
}
