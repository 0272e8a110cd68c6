using VmShunt.BlockDriver.Requests;
using VmShunt.Tests.Guest.Kernel.Crash;

namespace VmShunt.Tests.Guest.Kernel.Commands.Crash;

/// <summary>The commands on crashes and dumps. A crash itself ends the process, so here the crash path runs without one.</summary>
public sealed class CrashCommandTests(BoardFixture board, BusFixture bus) : IClassFixture<BoardFixture>, IClassFixture<BusFixture>
{
    [Fact]
    public void Without_a_way_to_dump_the_guest_does_not_crash_and_says_why()
    {
        Assert.Equal("no dump can be written: the disk has no dump partition", Assert.Throws<InvalidOperationException>(() => board.Guest.Run("crash")).Message);
        Assert.Equal("no dump can be written: there is no emulated disk", Assert.Throws<InvalidOperationException>(() => bus.Guest.Run("crash")).Message);
        Assert.Equal("--in-flight takes 0 to 512", board.Guest.ErrorsOf("crash --in-flight 513"));
    }

    [Fact]
    public void Without_a_dump_partition_there_is_no_dump_to_show() =>
        Assert.Equal("the disk has no dump partition", Assert.Throws<InvalidOperationException>(() => board.Guest.Run("dump info")).Message);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_exported_dump_is_marked_as_saved_only_if_it_is_valid(bool isDamaged)
    {
        using var disk = new DumpDisk();
        using (var crashed = disk.Boot())
        {
            Assert.False((bool)crashed.Run("dump info")["found"]!);
            Assert.Throws<InvalidOperationException>(() => crashed.Run("dump export /nonexistent/core"));
            Assert.Null(crashed.Kernel.CrashPath!.Run(new CrashGate(), "for a test", 7, 2).Failure);
        }
        if (isDamaged) disk.Damage();
        var core = Path.GetTempFileName();
        try
        {
            using var guest = disk.Boot();
            var info = guest.Run("dump info");
            Assert.Equal((true, false, 2, "for a test"), ((bool)info["found"]!, (bool)info["saved"]!, (int)info["inFlight"]!, (string)info["reason"]!));
            Assert.Equal("for a test", (string)guest.Run("info")["dump"]!["reason"]!);
            var export = guest.Run($"dump export {core}");
            Assert.Equal((!isDamaged, new FileInfo(core).Length), ((bool)export["valid"]!, (long)export["bytes"]!));
            Assert.Equal(!isDamaged, (bool)guest.Run("dump info")["saved"]!);
        }
        finally
        {
            File.Delete(core);
        }
    }
}
