using System.Globalization;
using System.Net;
using System.Text;

namespace VmShunt.Perf.Launch.Report.Charts;

/// <summary>An inline SVG chart. Colours come from the page's style sheet by class, so that light, dark and print each have their own.</summary>
internal sealed class Svg
{
    /// <summary>The width of a chart: that of a phone, so that its text is readable there.</summary>
    internal const double Width = 360;

    // Widths of letters at the style sheet's font size, in wide fonts.
    private const double Narrow = 4.4, Common = 7.1, Digit = 7.5, Wide = 11.2;

    private readonly StringBuilder _text = new();

    /// <param name="height">Its height.</param>
    /// <param name="description">The text alternative for screen readers.</param>
    /// <param name="width">Its width, if it is not a figure of its own.</param>
    internal Svg(double height, string description, double width = Width) =>
        Append($"<svg viewBox=\"0 0 {width} {height:0.#}\" role=\"img\" aria-label=\"{Escape(description)}\">");

    internal void Rect(double x, double y, double width, double height, string style, string tip) =>
        Append($"<rect class=\"{style}\" x=\"{x:0.#}\" y=\"{y:0.#}\" width=\"{Math.Max(0, width):0.##}\" height=\"{height:0.#}\"><title>{Escape(tip)}</title></rect>");

    internal void Line(double x1, double y1, double x2, double y2, string style) =>
        Append($"<line class=\"{style}\" x1=\"{x1:0.#}\" y1=\"{y1:0.#}\" x2=\"{x2:0.#}\" y2=\"{y2:0.#}\"/>");

    internal void Circle(double x, double y, double radius, string style, string tip) =>
        Append($"<circle class=\"{style}\" cx=\"{x:0.#}\" cy=\"{y:0.#}\" r=\"{radius:0.#}\"><title>{Escape(tip)}</title></circle>");

    /// <summary>A mark in one of four shapes, so that lines differ in more than colour.</summary>
    /// <param name="shape">Any number; modulo 4 it means circle, square, diamond, triangle.</param>
    /// <param name="x">Its centre.</param>
    /// <param name="y">Its centre.</param>
    /// <param name="r">Half its size.</param>
    /// <param name="style">A class of the page's style sheet.</param>
    /// <param name="tip">The tooltip.</param>
    internal void Mark(int shape, double x, double y, double r, string style, string tip)
    {
        if (shape % 4 == 0)
        {
            Circle(x, y, r, style, tip);
            return;
        }
        var title = $"<title>{Escape(tip)}</title>";
        Append((shape % 4) switch
        {
            1 => $"<path class=\"{style}\" d=\"M{x - r:0.#} {y - r:0.#}h{2 * r:0.#}v{2 * r:0.#}h{-2 * r:0.#}z\">{title}</path>",
            2 => (FormattableString)$"<path class=\"{style}\" d=\"M{x:0.#} {y - (1.3 * r):0.#}l{1.3 * r:0.#} {1.3 * r:0.#}l{-1.3 * r:0.#} {1.3 * r:0.#}l{-1.3 * r:0.#} {-1.3 * r:0.#}z\">{title}</path>",
            _ => $"<path class=\"{style}\" d=\"M{x:0.#} {y - (1.2 * r):0.#}l{1.2 * r:0.#} {2.2 * r:0.#}h{-2.4 * r:0.#}z\">{title}</path>",
        });
    }

    /// <param name="x">Its start, middle or end, depending on <paramref name="anchor"/>.</param>
    /// <param name="y">The base line.</param>
    /// <param name="anchor">start, middle or end.</param>
    /// <param name="text">Plain text.</param>
    /// <param name="style">A class of the page's style sheet, or none.</param>
    internal void Text(double x, double y, string anchor, string text, string style = "") =>
        Append($"<text {(style.Length > 0 ? $"class=\"{style}\" " : "")}x=\"{x:0.#}\" y=\"{y:0.#}\" text-anchor=\"{anchor}\">{Escape(text)}</text>");

    internal string Close() => _text.Append("</svg>").ToString();

    /// <summary>The width of a text; an upper estimate, because fonts differ.</summary>
    internal static double WidthOf(string text) => text.Sum(static letter => letter switch
    {
        'i' or 'j' or 'l' or 'I' or 't' or 'f' or 'r' or ' ' or ',' or '.' or ':' or ';' or '-' or '(' or ')' or '/' or '·' or '\'' => Narrow,
        'm' or 'w' or 'M' or 'W' or '…' or '%' or '→' or '←' => Wide,
        >= 'A' and <= 'Z' or >= '0' and <= '9' or '+' or '×' or '≤' or '≥' => Digit,
        _ => Common,
    });

    /// <summary>Shortens a text to the given width, with an ellipsis.</summary>
    internal static string Shorten(string text, double room)
    {
        if (WidthOf(text) <= room) return text;
        var kept = text.Length;
        while (kept > 0 && WidthOf(text[..kept]) > room - Wide) kept--;
        return kept == 0 ? "" : text[..kept].TrimEnd(' ', ',', ':') + "…";
    }

    internal static string Escape(string text) => WebUtility.HtmlEncode(text);

    private void Append(FormattableString text) => _text.Append(text.ToString(CultureInfo.InvariantCulture));
}
