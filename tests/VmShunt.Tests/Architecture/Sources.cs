using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace VmShunt.Tests.Architecture;

/// <summary>The project's own C# files, found beside this one, without comments and string contents.</summary>
internal static partial class Sources
{
    internal static string Root { get; } = FindRoot();

    /// <summary>Files under a folder of the repository, as (path relative to the root, code).</summary>
    internal static IEnumerable<(string Path, string Code)> Under(string folder) =>
        Directory.EnumerateFiles(Path.Combine(Root, folder), "*.cs", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(Root, file))
            .Where(path => !path.Split(Path.DirectorySeparatorChar).Any(part => part is "bin" or "obj"))
            .Select(path => (path, CommentsAndStrings().Replace(File.ReadAllText(Path.Combine(Root, path)), "")));

    private static string FindRoot([CallerFilePath] string here = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "..", "..", ".."));

    [GeneratedRegex(@"//[^\n]*|""(\\.|[^""\\\n])*""")]
    private static partial Regex CommentsAndStrings();
}
