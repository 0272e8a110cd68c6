using System.Reflection;

namespace VmShunt.Perf.Report;

/// <summary>What the reports are made of: templates, and the style sheet that they share.</summary>
internal static class Page
{
    internal static string Read(string name)
    {
        using var source = new StreamReader(Assembly.GetExecutingAssembly().GetManifestResourceStream(name)!);
        return source.ReadToEnd();
    }
}
