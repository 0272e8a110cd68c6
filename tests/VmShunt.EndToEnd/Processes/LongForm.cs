using System.Globalization;
using System.Runtime.CompilerServices;

namespace VmShunt.EndToEnd.Processes;

/// <summary>
/// Soaks have a short form, which the suite runs, and a long one, which VMSHUNT_LONG=1 selects: see results/README.md.
/// Continuous integration never runs the long form.
/// </summary>
internal static class LongForm
{
    internal const string Variable = "VMSHUNT_LONG";

    internal static bool IsSelected { get; } = Environment.GetEnvironmentVariable(Variable) == "1" && !Installed.IsContinuousIntegration;

    /// <summary>The length of a soak.</summary>
    internal static int Choose(int shortForm, int longForm) => IsSelected ? longForm : shortForm;

    /// <summary>Appends what a long form saw to results/NAME.md, with the date and the command. The short form keeps nothing.</summary>
    /// <param name="name">The test class.</param>
    /// <param name="figures">One line.</param>
    internal static void Keep(string name, string figures)
    {
        if (!IsSelected) return;
        var file = Path.Combine(Folder(), name + ".md");
        var date = DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture);
        File.AppendAllText(file, $"- {date} UTC, `{Variable}=1 dotnet test tests/VmShunt.EndToEnd -c Release --filter {name}`: {figures}\n");
    }

    private static string Folder([CallerFilePath] string here = "") =>
        Directory.CreateDirectory(Path.Combine(Path.GetDirectoryName(here)!, "..", "results")).FullName;
}
