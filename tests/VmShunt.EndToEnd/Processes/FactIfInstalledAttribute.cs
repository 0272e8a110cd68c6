namespace VmShunt.EndToEnd.Processes;

/// <summary>
/// A fact that needs a program of the machine. Where the program is missing the test is skipped, but not in CI: there it
/// runs, and fails.
/// </summary>
public sealed class FactIfInstalledAttribute : FactAttribute
{
    public FactIfInstalledAttribute(string program)
    {
        Program = program;
        if (Installed.Find(program) is null && !Installed.IsContinuousIntegration) Skip = $"{program} is not installed";
    }

    /// <summary>The program's name.</summary>
    public string Program { get; }
}

/// <summary>As <see cref="FactIfInstalledAttribute"/>, with data.</summary>
public sealed class TheoryIfInstalledAttribute : TheoryAttribute
{
    public TheoryIfInstalledAttribute(string program)
    {
        Program = program;
        if (Installed.Find(program) is null && !Installed.IsContinuousIntegration) Skip = $"{program} is not installed";
    }

    /// <summary>The program's name.</summary>
    public string Program { get; }
}

/// <summary>Programs of the machine.</summary>
internal static class Installed
{
    internal static bool IsContinuousIntegration => Environment.GetEnvironmentVariable("CI") == "true";

    /// <returns>Its path, or null.</returns>
    internal static string? Find(string program) =>
        $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin".Split(':', StringSplitOptions.RemoveEmptyEntries)
            .Select(folder => Path.Combine(folder, program))
            .FirstOrDefault(File.Exists);

    /// <returns>Its path; the test fails where there is none.</returns>
    internal static string Require(string program)
    {
        var path = Find(program);
        Assert.True(path is not null, $"{program} is not installed, and CI=true: install it");
        return path;
    }
}
