using VmShunt.Perf.Launch;

namespace VmShunt.Perf.Mutants;

/// <summary>A copy of the built repository, in which one mutant at a time is applied, built and dropped in. Disposing it deletes the copy.</summary>
internal sealed class MutantTree : IDisposable
{
    private static readonly string[] s_copied = ["src", "perf", "tests", "samples", "packaging"];

    private readonly DirectoryInfo _folder;

    private MutantTree(DirectoryInfo folder) => _folder = folder;

    internal string Root => _folder.FullName;

    internal static MutantTree Copy(string root)
    {
        var tree = new MutantTree(Directory.CreateTempSubdirectory("vmshunt-mutants-"));
        foreach (var file in Directory.EnumerateFiles(root)) File.Copy(file, Path.Combine(tree.Root, Path.GetFileName(file)));
        foreach (var folder in s_copied) CopyFolder(Path.Combine(root, folder), Path.Combine(tree.Root, folder));
        return tree;
    }

    /// <summary>Runs the work with the mutant in place of the assembly that its file belongs to.</summary>
    /// <returns>What the work returned, or default with what the compiler says.</returns>
    internal async Task<(T? Result, string? Fault)> WithAsync<T>(Mutant mutant, Func<Task<T>> work, CancellationToken cancel)
    {
        var file = Path.Combine(Root, mutant.File);
        var project = ProjectOf(file);
        var source = await File.ReadAllTextAsync(file, cancel);
        var assembly = AssemblyOf(project);
        var places = PlacesOf(assembly);
        var good = places.ToDictionary(static place => place, File.ReadAllBytes);
        try
        {
            await File.WriteAllTextAsync(file, mutant.ApplyTo(source), cancel);
            if (await BuildAsync(project, cancel) is { } fault) return (default, fault);
            var built = Path.Combine(Path.GetDirectoryName(project)!, "bin", "Release", "net10.0", assembly);
            foreach (var place in places.Where(place => place != built)) File.Copy(built, place, overwrite: true);
            return (await work(), null);
        }
        catch (FormatException e)
        {
            return (default, e.Message);
        }
        finally
        {
            await File.WriteAllTextAsync(file, source, CancellationToken.None);
            foreach (var (place, bytes) in good) await File.WriteAllBytesAsync(place, bytes, CancellationToken.None);
        }
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private static async Task<string?> BuildAsync(string project, CancellationToken cancel)
    {
        var (code, output) = await ProgramRun.RunAsync(
            "dotnet",
            ["build", project, "-c", "Release", "--no-restore", "-p:BuildProjectReferences=false", "-p:RunAnalyzers=false", "-p:TreatWarningsAsErrors=false", "-v:q", "-nologo", "-clp:NoSummary"],
            TimeSpan.FromMinutes(5), cancel);
        if (code == 0) return null;
        return output.Split('\n').FirstOrDefault(static line => line.Contains("error", StringComparison.Ordinal)) ?? "the build failed";
    }

    private static string ProjectOf(string file)
    {
        for (var folder = Path.GetDirectoryName(file); folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (Directory.GetFiles(folder, "*.csproj") is [var project]) return project;
        }
        throw new LaunchException($"{file} belongs to no project");
    }

    private static string AssemblyOf(string project)
    {
        var output = Path.Combine(Path.GetDirectoryName(project)!, "bin", "Release", "net10.0");
        var named = System.Xml.Linq.XDocument.Load(project).Descendants("AssemblyName").FirstOrDefault()?.Value;
        var assembly = (named ?? Path.GetFileNameWithoutExtension(project)) + ".dll";
        return File.Exists(Path.Combine(output, assembly)) ? assembly : throw new LaunchException($"{assembly} is not built; run dotnet build -c Release first");
    }

    private string[] PlacesOf(string assembly) =>
        [.. Directory.EnumerateFiles(Root, assembly, SearchOption.AllDirectories)
            .Where(static place => place.Contains("/bin/Release/net10.0/", StringComparison.Ordinal) && !place.Contains("/ref/", StringComparison.Ordinal))];

    private static void CopyFolder(string from, string to)
    {
        if (!Directory.Exists(from)) return;
        Directory.CreateDirectory(to);
        foreach (var file in Directory.EnumerateFiles(from)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
        foreach (var folder in Directory.EnumerateDirectories(from))
        {
            if (Path.GetFileName(folder) is not ("results" or "Debug")) CopyFolder(folder, Path.Combine(to, Path.GetFileName(folder)));
        }
    }
}
