using System.IO.Compression;
using System.Text.RegularExpressions;

namespace VmShunt.EndToEnd.Packaging;

/// <summary>A manual page, and the help that it was made from.</summary>
internal static partial class ManualText
{
    /// <returns>The page's source without the escapes of hyphens and apostrophes.</returns>
    internal static string Read(string file)
    {
        using var reader = new StreamReader(new GZipStream(File.OpenRead(file), CompressionMode.Decompress));
        return reader.ReadToEnd().Replace("\\-", "-", StringComparison.Ordinal).Replace("\\(aq", "'", StringComparison.Ordinal);
    }

    /// <summary>
    /// The entries of a section of a program's help: "  --disk &lt;SPEC&gt; (REQUIRED)  a raw image or …". A default that the
    /// text explains depends on the machine, so a page leaves its value out.
    /// </summary>
    internal static IReadOnlyList<(string Name, string Text)> Entries(IEnumerable<string> help, string section) =>
    [
        .. help.SkipWhile(line => line != $"{section}:").Skip(1)
            .TakeWhile(static line => line.StartsWith("  ", StringComparison.Ordinal))
            .Select(static line => line.Trim().Split("  ", 2, StringSplitOptions.TrimEntries))
            .Select(static parts => (parts[0], MachineDefault().Replace(parts.ElementAtOrDefault(1) ?? "", "$1"))),
    ];

    [GeneratedRegex(@"^(.*by default.*) \[default: [^]]*\]$")]
    private static partial Regex MachineDefault();
}
