using System.Globalization;
using System.Net;
using System.Text;

namespace VmShunt.Perf.Report;

/// <summary>A small inline picture. Colours come from the page's style sheet by class, so that it is right on light and dark.</summary>
internal sealed class Svg
{
    /// <summary>The width of every picture: that of a phone, so that its letters are readable there.</summary>
    internal const double Width = 360;

    // Of the size that the style sheet says, in fonts that are wide.
    private const double Narrow = 4.4, Common = 7.1, Digit = 7.5, Wide = 11.2;

    private readonly StringBuilder _text = new();

    /// <param name="height">Of the picture.</param>
    /// <param name="description">What a reader who does not see it is told.</param>
    /// <param name="width">For one that is no figure of its own.</param>
    internal Svg(double height, string description, double width = Width) =>
        Append($"<svg viewBox=\"0 0 {width} {height:0.#}\" role=\"img\" aria-label=\"{Escape(description)}\">");

    internal void Rect(double x, double y, double width, double height, string style, string tip) =>
        Append($"<rect class=\"{style}\" x=\"{x:0.#}\" y=\"{y:0.#}\" width=\"{Math.Max(0, width):0.##}\" height=\"{height:0.#}\"><title>{Escape(tip)}</title></rect>");

    internal void Line(double x1, double y1, double x2, double y2, string style) =>
        Append($"<line class=\"{style}\" x1=\"{x1:0.#}\" y1=\"{y1:0.#}\" x2=\"{x2:0.#}\" y2=\"{y2:0.#}\"/>");

    internal void Circle(double x, double y, double radius, string style, string tip) =>
        Append($"<circle class=\"{style}\" cx=\"{x:0.#}\" cy=\"{y:0.#}\" r=\"{radius:0.#}\"><title>{Escape(tip)}</title></circle>");

    /// <summary>A mark of one of four shapes, so that lines differ in more than colour.</summary>
    /// <param name="shape">Any number; circle, square, diamond and triangle in turn.</param>
    /// <param name="x">Its middle.</param>
    /// <param name="y">Its middle.</param>
    /// <param name="r">Half its size.</param>
    /// <param name="style">A class of the page's style sheet.</param>
    /// <param name="tip">What it says under the pointer.</param>
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

    /// <param name="x">Where it starts, ends or has its middle, as <paramref name="anchor"/> says.</param>
    /// <param name="y">The base line.</param>
    /// <param name="anchor">start, middle or end.</param>
    /// <param name="text">Plain text.</param>
    /// <param name="style">A class of the page's style sheet, or none.</param>
    internal void Text(double x, double y, string anchor, string text, string style = "") =>
        Append($"<text {(style.Length > 0 ? $"class=\"{style}\" " : "")}x=\"{x:0.#}\" y=\"{y:0.#}\" text-anchor=\"{anchor}\">{Escape(text)}</text>");

    internal string Close() => _text.Append("</svg>").ToString();

    /// <summary>How wide a text is, rather more than less: fonts differ.</summary>
    internal static double WidthOf(string text) => text.Sum(static letter => letter switch
    {
        'i' or 'j' or 'l' or 'I' or 't' or 'f' or 'r' or ' ' or ',' or '.' or ':' or ';' or '-' or '(' or ')' or '/' or '·' or '\'' => Narrow,
        'm' or 'w' or 'M' or 'W' or '…' or '%' or '→' or '←' => Wide,
        >= 'A' and <= 'Z' or >= '0' and <= '9' or '+' or '×' or '≤' or '≥' => Digit,
        _ => Common,
    });

    /// <summary>A text that fits into so much room; what does not, ends with an ellipsis.</summary>
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
