using System.Reflection;

namespace VmShunt.Perf.Report;

/// <summary>What the reports are made of: templates, the style sheet that they share, and pieces of HTML.</summary>
internal static class Page
{
    internal static string Read(string name)
    {
        using var source = new StreamReader(Assembly.GetExecutingAssembly().GetManifestResourceStream(name)!);
        return source.ReadToEnd();
    }

    /// <summary>A picture with its title.</summary>
    internal static string Figure(string title, string svg) => $"<figure><figcaption>{Svg.Escape(title)}</figcaption>{svg}</figure>\n";

    /// <summary>One of the answers at the top.</summary>
    /// <param name="title">What is answered.</param>
    /// <param name="big">The figure; empty for none.</param>
    /// <param name="words">What the figure is.</param>
    /// <param name="rest">HTML below it.</param>
    internal static string Card(string title, string big, string words, string rest) =>
        $"<section class=\"card\"><h2>{Svg.Escape(title)}</h2>{(big.Length > 0 ? $"<p class=\"big\"><b>{Svg.Escape(big)}</b> {Svg.Escape(words)}</p>" : "")}{rest}</section>\n";
}
