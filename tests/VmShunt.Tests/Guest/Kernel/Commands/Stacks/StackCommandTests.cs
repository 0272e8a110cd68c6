namespace VmShunt.Tests.Guest.Kernel.Commands.Stacks;

/// <summary>An application's own emulating stack: built, used by other commands, removed.</summary>
public sealed class StackCommandTests(BoardFixture board) : IClassFixture<BoardFixture>
{
    [Fact]
    public void A_built_stack_serves_other_commands_until_it_is_dropped()
    {
        Assert.Throws<InvalidOperationException>(() => board.Guest.Run("stack drop"));
        // The kernel drives the port, so the application's stack submits to the kernel's.
        Assert.False((bool)board.Guest.Run("stack build")["drivesPort"]!);
        Assert.Throws<InvalidOperationException>(() => board.Guest.Run("stack build"));
        board.Guest.Run("fill --stack application --count 64 --seed 3");
        board.Guest.Run("fill --stack emulating --count 64 --seed 3 --verify");
        board.Guest.Run("stack drop");
        Assert.Throws<InvalidOperationException>(() => board.Guest.Run("flush --stack application"));
    }

    [Fact]
    public void A_disk_is_not_a_controller_to_build_a_stack_on() =>
        Assert.Equal("sda is not a controller", Assert.Throws<InvalidOperationException>(() => board.Guest.Run("stack build --controller sda")).Message);

    [Fact]
    public void The_kernels_stack_cannot_be_removed_while_it_is_the_only_one()
    {
        Assert.ThrowsAny<Exception>(() => board.Guest.Run("stack remove"));
        board.Guest.Run("flush --stack emulating");
    }
}
