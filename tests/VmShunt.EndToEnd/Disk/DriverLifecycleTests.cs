using VmShunt.EndToEnd.Qemu;
using VmShunt.Perf.Lifecycle.Rigs;
using VmShunt.Ring.VhostUser;

namespace VmShunt.EndToEnd.Disk;

/// <summary>Our driver keeps its disks whatever happens to VM-H; <c>perf lifecycle</c> runs the whole matrix.</summary>
public sealed class DriverLifecycleTests(LifecycleRigs rigs) : IClassFixture<LifecycleRigs>
{
    [Theory]
    [InlineData("SIGTERM")]
    [InlineData("SIGUSR1/SIGUSR2")]
    [InlineData("SIGKILL")]
    [InlineData("SIGSTOP/SIGCONT")]
    [InlineData("stop/cont")]
    [InlineData("unbind/bind")]
    [InlineData("front-end killed")]
    public async Task The_disks_are_used_again_after(string what)
    {
        var outcomes = await rigs.RunAsync("own", LifecycleEvent.All.Single(e => e.Name == what), static async () => await OwnRig.StartAsync(VhostUserProtocolFeatures.None, LifecycleEvent.DefaultEngine));
        Assert.All(outcomes, static outcome => Assert.Equal((LifecycleVerdict.Passed, ""), (outcome.Verdict, outcome.Detail)));
    }
}
