using System.Diagnostics;
using System.Globalization;
using System.Text;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Machine;
using VmShunt.Guest.Mode;
using VmShunt.Guest.Requests;

namespace VmShunt.Guest.Observing;

/// <summary>A request's trace, as a drawing of the two stacks and as a table of hops with their times.</summary>
/// <param name="trace">The trace of a completed request.</param>
/// <param name="accesses">The register accesses during the request.</param>
/// <param name="abar">The address of the controller's registers; 0 without a controller and emulating stack.</param>
/// <param name="position">The position of the shunt in the emulating stack.</param>
/// <param name="mode">The mode. In alternate mode there is no enlightened stack, and the shunt has its own end of the bus.</param>
internal sealed class TraceText(RequestTrace trace, IReadOnlyList<RegisterAccess> accesses, ulong abar, ShuntPosition position, GuestMode mode)
{
    private readonly bool _hasEnlightenedStack = mode == GuestMode.Enlightened;

    private const int BoxWidth = 27;
    private const int RightColumn = 45;
    private const int Width = RightColumn + BoxWidth;
    private const int Level = StackPicture.BoxRows + 1;
    private const int Levels = 3;
    private const int Top = 1;
    private const int HypervisorRow = Top + Levels * Level;
    private const int HostRow = HypervisorRow + Level;

    private readonly long _start = trace.Hops[0].Timestamp;

    /// <summary>Hops and register accesses in order of time, in microseconds since the first.</summary>
    internal IEnumerable<(double At, string What)> Rows()
    {
        var rows = new List<(long At, string What)>();
        foreach (var (hop, timestamp) in trace.Hops) rows.Add((timestamp, NameOf(hop)));
        foreach (var access in accesses)
            rows.Add((access.Ended, $"    {(access.IsWrite ? "write" : "read")} {RegisterNames.Of(access.Address, abar)}: an exit of {Span(access.Begun, access.Ended):F1} µs"));
        return rows.OrderBy(static s => s.At).Select(s => (Span(_start, s.At), s.What));
    }

    internal string Draw()
    {
        var (left, right) = (Left(), Right());
        var picture = new StackPicture(Width, HostRow + StackPicture.BoxRows);
        var isTrap = trace.RequestPath == RequestPath.Trap;
        if (left.Length > 0)
        {
            picture.Text(1, 0, "emulating stack");
            DrawColumn(picture, 0, left, HypervisorRow - 1, isTrap);
            picture.Box(0, HypervisorRow, BoxWidth, "hypervisor", isTrap && accesses.Count > 0 ? Invariant($"{accesses.Count} exits") : "", isTrap);
            picture.Down(BoxWidth / 2, HostRow - 1, HostRow - 1, isTrap);
        }
        if (right.Length > 0)
        {
            if (right.Length > 1) picture.Text(RightColumn + 1, 0, "enlightened stack");
            DrawColumn(picture, RightColumn, right, HostRow - 1, trace.RequestPath == RequestPath.Ring);
            picture.Text(RightColumn + BoxWidth / 2 + 2, HypervisorRow + 1, "virtqueue");
        }
        picture.Box(0, HostRow, Width, left.Length > 0 ? "VM-H" : "the back-end", Device(), isHeavy: true);
        DrawDiversion(picture, left, right);
        return picture.ToString() + '\n';
    }

    /// <summary>The table of hops and register accesses.</summary>
    internal string Table()
    {
        var text = new StringBuilder().AppendLine("      at µs    took µs");
        var before = 0.0;
        foreach (var (at, what) in Rows())
        {
            text.AppendLine(Invariant($"  {at,9:N1}  {at - before,9:N1}  {what}"));
            before = at;
        }
        return text.ToString();
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static double Span(long from, long to) => Stopwatch.GetElapsedTime(from, to).TotalMicroseconds;

    private Box[] Left() => (abar == 0, position) switch
    {
        (true, _) => [],
        (_, ShuntPosition.AboveClass) => [Box.Shunt, Box.ClassDriverEm, Box.PortDriverEm],
        (_, ShuntPosition.BelowPort) => [Box.ClassDriverEm, Box.PortDriverEm, Box.Shunt],
        _ => [Box.ClassDriverEm, Box.Shunt, Box.PortDriverEm],
    };

    private Box[] Right() => mode switch
    {
        GuestMode.Enlightened when abar == 0 => [Box.ClassDriverEn, Box.PortDriverEn],
        GuestMode.Enlightened => [Box.ClassDriverEn, Box.ReverseShunt, Box.PortDriverEn],
        GuestMode.Alternate => [Box.PortDriverEn],
        _ => [],
    };

    /// <summary>The row of a box. The lowest boxes of the two stacks are in the same row.</summary>
    private static int RowOf(Box[] stack, int index) => Top + (Levels - stack.Length + index) * Level;

    private void DrawColumn(StackPicture picture, int column, Box[] stack, int downTo, bool isPath)
    {
        for (var i = 0; i < stack.Length; i++)
        {
            var row = RowOf(stack, i);
            Draw(picture, column, row, stack[i]);
            var isLast = i + 1 == stack.Length;
            picture.Down(column + BoxWidth / 2, row + 3, isLast ? downTo : row + 3, isLast ? isPath : IsOnPath(stack[i]) && IsOnPath(stack[i + 1]));
        }
    }

    private void Draw(StackPicture picture, int column, int row, Box box) =>
        picture.Box(column, row, BoxWidth, NameOf(box), IsOnPath(box) && TimeOf(box) is { } time ? Invariant($"{time:F1} µs") : "", IsOnPath(box));

    private void DrawDiversion(StackPicture picture, Box[] left, Box[] right)
    {
        var middle = RightColumn - 9;
        if (trace.Decision == ShuntDecision.Diverted)
        {
            var from = RowOf(left, Array.IndexOf(left, Box.Shunt)) + 1;
            var target = IsOnPath(Box.ClassDriverEn) && _hasEnlightenedStack ? Box.ClassDriverEn : Box.PortDriverEn;
            var to = RowOf(right, Array.IndexOf(right, target)) + 1;
            picture.Arrow(BoxWidth, from, RightColumn - 1, to, middle);
            picture.Text(BoxWidth + 1, from - 1, "shunted");
        }
        if (trace.Decision == ShuntDecision.ReverseDiverted)
        {
            picture.Arrow(RightColumn - 1, Top + Level + 1, BoxWidth, Top + 2 * Level + 1, middle);
            picture.Text(BoxWidth + 1, Top + Level, "shunted back");
        }
        if (HasPassed(Hop.GivenBack))
        {
            picture.Arrow(RightColumn - 1, Top + 2 * Level + 1, BoxWidth, Top + 2 * Level + 1, middle);
            picture.Text(BoxWidth + 1, Top + 2 * Level, "rejected");
        }
    }

    private bool IsOnPath(Box box) => box switch
    {
        Box.ClassDriverEm => trace.Stack != "enlightened",
        Box.ClassDriverEn => trace.Stack == "enlightened" || (trace.Decision == ShuntDecision.Diverted && position == ShuntPosition.AboveClass),
        _ => HasPassed(HopOf(box)),
    };

    private double? TimeOf(Box box)
    {
        var hop = HopOf(box);
        foreach (var (passed, timestamp) in trace.Hops)
        {
            if (passed == hop) return Span(_start, timestamp);
        }
        return null;
    }

    private bool HasPassed(Hop hop)
    {
        foreach (var passed in trace.Hops)
        {
            if (passed.Hop == hop) return true;
        }
        return false;
    }

    /// <summary>The time that the device took, as the driver saw it.</summary>
    private string Device()
    {
        long issued = 0, noticed = 0;
        foreach (var (hop, timestamp) in trace.Hops)
        {
            if (hop == Hop.Issued) issued = timestamp;
            if (hop == Hop.Noticed) noticed = timestamp;
        }
        return issued == 0 || noticed == 0 ? "" : Invariant($"from issued to noticed {Span(issued, noticed):F1} µs");
    }

    private static Hop HopOf(Box box) => box switch
    {
        Box.Shunt => Hop.Shunt,
        Box.ReverseShunt => Hop.ReverseShunt,
        Box.PortDriverEm => Hop.PortDriverEm,
        Box.PortDriverEn => Hop.PortDriverEn,
        _ => Hop.Entered,
    };

    private string NameOf(Box box) => box switch
    {
        Box.ClassDriverEm => "class driver-em",
        Box.ClassDriverEn => "class driver-en",
        Box.Shunt => "shunt",
        Box.ReverseShunt => "reverse shunt",
        Box.PortDriverEm => "port driver-em",
        _ => _hasEnlightenedStack ? "port driver-en" : "shunt's end of the bus",
    };

    private string NameOf(Hop hop) => hop switch
    {
        Hop.Entered => $"the application submits it to the {trace.Stack} stack's class driver",
        Hop.Shunt => trace.Decision == ShuntDecision.Diverted ? "the shunt diverts it" : "the shunt passes it down",
        Hop.ReverseShunt => trace.Decision == ShuntDecision.ReverseDiverted ? "the reverse shunt diverts it" : "the reverse shunt is inert",
        Hop.PortDriverEm => "port driver-em receives it",
        Hop.PortDriverEn => _hasEnlightenedStack ? "port driver-en receives it" : "the shunt's end of the bus receives it",
        Hop.Described => "it is described in memory",
        Hop.Issued => "it is issued to the device",
        Hop.Noticed => "the driver sees its completion",
        Hop.GivenBack => "its driver rejects it, and it takes its fallback",
        _ => "the application has its result",
    };

    private enum Box
    {
        ClassDriverEm,
        Shunt,
        PortDriverEm,
        ClassDriverEn,
        ReverseShunt,
        PortDriverEn,
    }
}
