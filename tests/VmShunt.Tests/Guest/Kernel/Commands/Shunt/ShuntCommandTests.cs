namespace VmShunt.Tests.Guest.Kernel.Commands.Shunt;

/// <summary>The commands on mode and shunt, on a guest that has an emulating stack but no bus.</summary>
public sealed class ShuntCommandTests(BoardFixture board, BusFixture bus) : IClassFixture<BoardFixture>, IClassFixture<BusFixture>
{
    [Fact]
    public void Shunt_replaces_the_shunt_and_keeps_the_options_that_are_not_given()
    {
        var answer = board.Guest.Run("shunt --shunt-policy importance --primary read,flush");
        Assert.Equal(("importance", "read,flush"), ((string)answer["policy"]!, (string)answer["primary"]!));
        answer = board.Guest.Run("shunt --shunt-position above-class");
        Assert.Equal(("above-class", "importance", "read,flush"), ((string)answer["position"]!, (string)answer["policy"]!, (string)answer["primary"]!));
        Assert.Equal("above-class", (string)board.Guest.Run("shunt")["position"]!);
    }

    [Fact]
    public void A_list_with_an_unknown_request_type_is_rejected_with_the_known_ones() =>
        Assert.Contains("read, write, flush, discard, write-zeroes", board.Guest.ErrorsOf("shunt --primary read,trim"), StringComparison.Ordinal);

    [Fact]
    public void A_guest_without_an_emulating_stack_has_no_shunt_to_show() =>
        Assert.Equal("this guest has no emulating stack, so it has no shunt", Assert.Throws<InvalidOperationException>(() => bus.Guest.Run("shunt")).Message);

    [Fact]
    public void Without_a_bus_the_mode_stays_emulating()
    {
        Assert.Throws<IOException>(() => board.Guest.Run("mode enlightened"));
        Assert.Equal("emulating", (string)board.Guest.Run("mode emulating")["mode"]!);
    }

    [Fact]
    public void Without_an_enlightened_stack_there_is_no_reverse_shunt_to_set() =>
        Assert.ThrowsAny<Exception>(() => board.Guest.Run("reverse-shunt emulating"));

    [Fact]
    public void Suppression_answers_with_its_new_state()
    {
        Assert.Equal("off", (string)board.Guest.Run("suppress off")["suppress"]!);
        Assert.Equal("on", (string)board.Guest.Run("suppress on")["suppress"]!);
        Assert.NotEmpty(board.Guest.ErrorsOf("suppress maybe"));
    }
}
