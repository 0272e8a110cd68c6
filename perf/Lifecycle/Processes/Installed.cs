namespace VmShunt.Perf.Lifecycle.Processes;

/// <summary>Programs of the machine.</summary>
internal static class Installed
{
    internal static bool IsContinuousIntegration => Environment.GetEnvironmentVariable("CI") == "true";

    /// <returns>Its path, or null.</returns>
    internal static string? Find(string program) =>
        $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin".Split(':', StringSplitOptions.RemoveEmptyEntries)
            .Select(folder => Path.Combine(folder, program))
            .FirstOrDefault(File.Exists);

    /// <returns>Its path.</returns>
    /// <exception cref="GuestException">There is none.</exception>
    internal static string Require(string program) => Find(program) ?? throw new GuestException($"{program} is not installed: install it");
}
