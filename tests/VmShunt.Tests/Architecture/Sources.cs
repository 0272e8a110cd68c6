using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace VmShunt.Tests.Architecture;

/// <summary>The project's own C# files, found beside this one, without comments and string contents.</summary>
internal static partial class Sources
{
    internal static string Root { get; } = FindRoot();

    /// <summary>Files under a folder of the repository, as (path relative to the root, code).</summary>
    internal static IEnumerable<(string Path, string Code)> Under(string folder) =>
        Paths(folder).Select(path => (path, CommentsAndStrings().Replace(File.ReadAllText(Path.Combine(Root, path)), "")));

    /// <summary>The whole text of each file under a folder, comments and strings included.</summary>
    internal static IEnumerable<string> Texts(string folder) => Paths(folder).Select(static path => File.ReadAllText(Path.Combine(Root, path)));

    private static IEnumerable<string> Paths(string folder) =>
        Directory.EnumerateFiles(Path.Combine(Root, folder), "*.cs", SearchOption.AllDirectories)
            .Select(static file => Path.GetRelativePath(Root, file))
            .Where(static path => !path.Split(Path.DirectorySeparatorChar).Any(static part => part is "bin" or "obj"));

    private static string FindRoot([CallerFilePath] string here = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "..", "..", ".."));

    [GeneratedRegex(@"//[^\n]*|""(\\.|[^""\\\n])*""")]
    private static partial Regex CommentsAndStrings();
}
