using System.Text.RegularExpressions;

namespace VmShunt.Tests.Architecture;

/// <summary>
/// What people read uses the field's terms. These are the ones of a private vocabulary that crept in before: a page of
/// docs, a comment or a message that has one says it in words that a virtualization engineer need not translate.
/// </summary>
public partial class VocabularyTests
{
    private static readonly string[] s_folders = ["src", "perf", "tests", "docs"];
    private static readonly string[] s_pages = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"];

    [Fact]
    public void No_text_uses_the_private_vocabulary()
    {
        var files = s_folders.SelectMany(static folder => Directory.EnumerateFiles(Path.Combine(Sources.Root, folder), "*", SearchOption.AllDirectories))
            .Concat(s_pages.Select(static page => Path.Combine(Sources.Root, page)))
            .Where(static file => Path.GetExtension(file) is ".cs" or ".md" or ".html" or ".svg")
            .Where(static file => !IsGenerated(Path.GetRelativePath(Sources.Root, file)));
        Assert.Equal([], files.SelectMany(Strays));
    }

    // Kept results are what was seen on their day, in that day's words; this file names the words.
    private static bool IsGenerated(string path) =>
        path.Split('/') is var parts && (parts.Contains("bin") || parts.Contains("obj") || path.StartsWith("perf/results/", StringComparison.Ordinal) || parts[^1] == "VocabularyTests.cs");

    private static IEnumerable<string> Strays(string file) =>
        File.ReadLines(file)
            .Select(static (line, i) => (Line: line, Number: i + 1))
            .Where(static at => Private().IsMatch(at.Line))
            .Select(at => $"{Path.GetRelativePath(Sources.Root, file)}:{at.Number}: {Private().Match(at.Line).Value}");

    // "road" is a contract as a key of launch's JSON, as a tag of the guest's meter and as a field of its events: quoted, or a parameter.
    [GeneratedRegex(
        @"\b(whoever|whomever|told of|word of|side by side|in vain|under way|goes on|went on|gives? back|gave back|hand(?:s|ed)? over|handover|call(?:s|ed) back|after all|comes? to be|there and back|somebody|nobody|(?:is|are) gone)\b|(?<![""\w`.]|string |shunt, )roads?(?![""\w`])",
        RegexOptions.IgnoreCase)]
    private static partial Regex Private();
}
