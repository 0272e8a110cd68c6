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
