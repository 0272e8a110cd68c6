using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Machine;
using VmShunt.Guest.Mode;
using VmShunt.Guest.Observing;
using VmShunt.Guest.Requests;
using VmShunt.Trap.Ahci;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.Guest.Kernel.Observing;

/// <summary>The drawing and the table of a request's trace.</summary>
public class TraceTextTests
{
    private const ulong Abar = GuestLayout.BarAddress;

    [Fact]
    public void A_diverted_request_is_drawn_with_an_arrow_from_the_shunt_to_the_enlightened_stack()
    {
        var trace = Trace(ShuntDecision.Diverted, RequestPath.Ring, Hop.Shunt, Hop.PortDriverEn, Hop.Described, Hop.Issued, Hop.Noticed);
        var text = new TraceText(trace, [], Abar, ShuntPosition.BelowClass, GuestMode.Enlightened);
        var lines = text.Draw().Split('\n');
        var label = Array.FindIndex(lines, static line => line.Contains("shunted", StringComparison.Ordinal));
        Assert.Contains("┃ shunt ", lines[label + 1], StringComparison.Ordinal);
        Assert.Contains('▶', text.Draw());
        Assert.Contains("│ port driver-em", text.Draw(), StringComparison.Ordinal);
        Assert.Contains("┃ port driver-en", text.Draw(), StringComparison.Ordinal);
        Assert.Contains("the shunt diverts it", text.Table(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_trapped_request_shows_its_exits_with_the_names_of_the_registers()
    {
        var trace = Trace(ShuntDecision.EmulatingMode, RequestPath.Trap, Hop.Shunt, Hop.PortDriverEm, Hop.Described, Hop.Issued, Hop.Noticed);
        var start = trace.Hops[0].Timestamp;
        RegisterAccess[] accesses =
        [
            new(Abar + (ulong)HbaRegister.OfPort(0, PortRegister.PxCI), IsWrite: true, start, start + 1000),
            new(Abar + HbaRegister.IS, IsWrite: false, start + 2000, start + 3000),
        ];
        var text = new TraceText(trace, accesses, Abar, ShuntPosition.BelowClass, GuestMode.Emulating);
        Assert.Contains("2 exits", text.Draw(), StringComparison.Ordinal);
        Assert.Contains("write PxCI: an exit of", text.Table(), StringComparison.Ordinal);
        Assert.Contains("read IS: an exit of", text.Table(), StringComparison.Ordinal);
        Assert.DoesNotContain("enlightened stack", text.Draw(), StringComparison.Ordinal);
    }

    [Fact]
    public void Rows_are_in_the_order_of_time_and_count_from_the_first_hop()
    {
        var trace = Trace(ShuntDecision.None, RequestPath.Ring, Hop.PortDriverEn);
        var rows = new TraceText(trace, [], 0, ShuntPosition.BelowClass, GuestMode.Enlightened).Rows().ToArray();
        Assert.Equal(3, rows.Length);
        Assert.Equal(0, rows[0].At);
        Assert.Equal(rows.OrderBy(static row => row.At), rows);
    }

    [Theory]
    [InlineData(Abar + 0x04, "GHC")]
    [InlineData(Abar + 0x100 + 0x38, "PxCI")]
    [InlineData(Abar + 0x180 + 0x10, "PxIS")]
    [InlineData(Abar + 0xF0, "ABAR+0xF0")]
    [InlineData(0x1000, "0x1000")]
    public void A_register_has_the_name_that_AHCI_gives_it(ulong address, string name) => Assert.Equal(name, RegisterNames.Of(address, Abar));

    private static RequestTrace Trace(ShuntDecision decision, RequestPath path, params Hop[] hops)
    {
        var trace = new RequestTrace();
        trace.Begin(path == RequestPath.Ring && decision == ShuntDecision.None ? "enlightened" : "emulating");
        trace.Decide(decision, "");
        foreach (var hop in hops) trace.Pass(hop);
        trace.Complete(path, BlockStatus.Ok);
        return trace;
    }
}
