using System.Reflection;
using VmShunt.Perf.Launch.Report.Charts;

namespace VmShunt.Perf.Launch.Report;

/// <summary>The parts that reports share: the style sheet, templates, figures and cards.</summary>
internal static class Page
{
    /// <summary>Reads a template or style sheet of this library.</summary>
    internal static string Read(string name) => Read(name, typeof(Page).Assembly);

    /// <summary>Reads a template that is embedded in an assembly.</summary>
    internal static string Read(string name, Assembly assembly)
    {
        using var source = new StreamReader(assembly.GetManifestResourceStream(name)!);
        return source.ReadToEnd();
    }

    /// <summary>A chart with its title.</summary>
    internal static string Figure(string title, string svg) => $"<figure><figcaption>{Svg.Escape(title)}</figcaption>{svg}</figure>\n";

    /// <summary>A card at the top of the page.</summary>
    /// <param name="title">Its heading.</param>
    /// <param name="big">The figure in large type; empty for none.</param>
    /// <param name="words">What the figure is.</param>
    /// <param name="rest">HTML below it.</param>
    internal static string Card(string title, string big, string words, string rest) =>
        $"<section class=\"card\"><h2>{Svg.Escape(title)}</h2>{(big.Length > 0 ? $"<p class=\"big\"><b>{Svg.Escape(big)}</b> {Svg.Escape(words)}</p>" : "")}{rest}</section>\n";
}
