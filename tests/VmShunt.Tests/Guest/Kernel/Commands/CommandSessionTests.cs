using VmShunt.Guest.Commands;
using VmShunt.Guest.Mode;

namespace VmShunt.Tests.Guest.Kernel.Commands;

/// <summary>Which disk a command gets by the name of a stack.</summary>
public sealed class CommandSessionTests(BoardFixture board, BusFixture bus) : IClassFixture<BoardFixture>, IClassFixture<BusFixture>
{
    [Fact]
    public void By_default_a_command_uses_the_enlightened_stack_if_there_is_one()
    {
        Assert.Same(bus.Guest.Kernel.EnlightenedDisk, bus.Guest.Session.Disk(null));
        Assert.Same(board.Guest.Kernel.EmulatingDisk, board.Guest.Session.Disk(null));
        Assert.Same(board.Guest.Kernel.EmulatingDisk, board.Guest.Session.Disk("emulating"));
    }

    [Theory]
    [InlineData("enlightened", "there is no enlightened stack in emulating mode; change the mode with: mode enlightened")]
    [InlineData("application", "no application has built a stack; build one with: stack build")]
    public void A_missing_stack_is_an_error_that_says_how_to_get_it(string stack, string message) =>
        Assert.Equal(message, Assert.Throws<InvalidOperationException>(() => board.Guest.Session.Disk(stack)).Message);

    [Fact]
    public void Over_the_bus_alone_there_are_no_devices_and_no_emulating_stack()
    {
        Assert.Contains("--bus", Assert.Throws<InvalidOperationException>(() => bus.Guest.Session.Disk("emulating")).Message, StringComparison.Ordinal);
        Assert.Contains("--bus", Assert.Throws<InvalidOperationException>(() => bus.Guest.Session.Devices).Message, StringComparison.Ordinal);
        Assert.Contains("--bus", Assert.Throws<InvalidOperationException>(() => bus.Guest.Session.Stacks).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_mode_has_the_name_that_the_mode_command_takes() => Assert.Equal("alternate", CommandSession.NameOf(GuestMode.Alternate));
}
