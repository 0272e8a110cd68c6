using System.Text.Json;
using VmShunt.Guest.Firmware.Boot;
using VmShunt.Perf.Launch;

namespace VmShunt.Perf.Disks;

/// <summary>The assemblies of the guest's kernel: VmShunt.Guest and its dependencies, from the loader's dependency file.</summary>
internal static class KernelFiles
{
    private const string DependencyFile = "vmshunt-guest.deps.json";

    /// <returns>Paths of existing files, the entry assembly first.</returns>
    /// <exception cref="LaunchException">The folder lacks a file of the guest.</exception>
    internal static IReadOnlyList<string> Find(string folder)
    {
        var list = Path.Combine(folder, DependencyFile);
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(list));
            JsonElement target = document.RootElement.GetProperty("targets").EnumerateObject().First().Value;
            return Closure(target, folder);
        }
        catch (Exception e) when (e is IOException or JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new LaunchException($"cannot find the guest kernel's assemblies from {list}: {e.Message}", e);
        }
    }

    private static List<string> Closure(JsonElement target, string folder)
    {
        Dictionary<string, JsonElement> libraries = target.EnumerateObject()
            .ToDictionary(static library => library.Name[..library.Name.IndexOf('/', StringComparison.Ordinal)], static library => library.Value);
        var files = new List<string>();
        var seen = new HashSet<string> { OsImage.KernelEntryAssembly };
        var open = new Queue<string>(seen);
        while (open.TryDequeue(out var name))
        {
            if (!libraries.TryGetValue(name, out JsonElement library)) throw new KeyNotFoundException($"{name} is missing");
            if (library.TryGetProperty("runtime", out JsonElement runtime))
                files.AddRange(runtime.EnumerateObject().Select(file => Path.Combine(folder, Path.GetFileName(file.Name))));
            if (!library.TryGetProperty("dependencies", out JsonElement dependencies)) continue;
            foreach (JsonProperty dependency in dependencies.EnumerateObject())
                if (seen.Add(dependency.Name)) open.Enqueue(dependency.Name);
        }
        return files;
    }
}
