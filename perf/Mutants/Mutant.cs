using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace VmShunt.Perf.Mutants;

/// <summary>
/// A small named change of the code that makes a statement of the maps false. The file has lines <c>file:</c>,
/// <c>rows:</c>, <c>tests:</c> and, if it races, <c>runs:</c>; then the exact text after a line <c>--- replace</c>, and the
/// other text after a line <c>--- by</c>.
/// </summary>
internal sealed record Mutant(string Name, string File, IReadOnlyList<string> Rows, IReadOnlyList<string> Tests, int Runs, string Old, string New, string Content)
{
    private const string Replace = "--- replace\n", By = "--- by\n";

    /// <summary>All mutants of the repository, by name.</summary>
    internal static IReadOnlyList<Mutant> All(string root) =>
        [.. Directory.EnumerateFiles(FolderOf(root), "*.txt").Order(StringComparer.Ordinal)
            .Select(static file => Parse(Path.GetFileNameWithoutExtension(file), System.IO.File.ReadAllText(file)))];

    internal static string FolderOf(string root) => Path.Combine(root, "tests", "Mutants");

    /// <exception cref="FormatException">The text is no mutant.</exception>
    internal static Mutant Parse(string name, string text)
    {
        int replace = text.IndexOf(Replace, StringComparison.Ordinal), by = text.IndexOf(By, StringComparison.Ordinal);
        if (replace < 0 || by < replace) throw new FormatException($"{name}: a mutant has the lines \"--- replace\" and \"--- by\"");
        var fields = text[..replace].Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => line.Split(':', 2, StringSplitOptions.TrimEntries) is [var key, var value] ? (key, value) : throw new FormatException($"{name}: {line}"))
            .ToDictionary(static field => field.key, static field => field.value);
        return new Mutant(
            name, Field("file"), List("rows"), List("tests"),
            fields.TryGetValue("runs", out var runs) ? int.Parse(runs, CultureInfo.InvariantCulture) : 1,
            text[(replace + Replace.Length)..by].TrimEnd('\n'), text[(by + By.Length)..].TrimEnd('\n'),
            Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)))[..8]);

        string Field(string key) => fields.TryGetValue(key, out var value) ? value : throw new FormatException($"{name}: no line \"{key}:\"");

        string[] List(string key) => Field(key).Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>The source with the change.</summary>
    /// <exception cref="FormatException">The text to replace is not there once.</exception>
    internal string ApplyTo(string source)
    {
        var at = source.IndexOf(Old, StringComparison.Ordinal);
        if (Old.Length == 0 || at < 0) throw new FormatException($"{Name}: {File} does not have the text to replace");
        if (source.IndexOf(Old, at + 1, StringComparison.Ordinal) >= 0) throw new FormatException($"{Name}: {File} has the text to replace more than once");
        return string.Concat(source.AsSpan(0, at), New, source.AsSpan(at + Old.Length));
    }
}
