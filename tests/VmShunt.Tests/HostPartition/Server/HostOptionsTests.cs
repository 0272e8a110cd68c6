using Microsoft.Extensions.Logging;
using VmShunt.BlockBackend;
using VmShunt.HostPartition;
using VmShunt.Ring.Notification;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Sandbox;
using VmShunt.Terminal;

namespace VmShunt.Tests.HostPartition.Server;

/// <summary>The command line of <c>vmshunt-host</c>, parsed in this process.</summary>
public sealed class HostOptionsTests
{
    private static HostOptions Parse(string arguments)
    {
        HostOptions? options = null;
        Assert.Equal(7, HostOptions.Invoke(arguments.Split(' '), parsed =>
        {
            options = parsed;
            return 7;
        }));
        return options!;
    }

    [Fact]
    public void What_is_not_given_has_a_default()
    {
        var options = Parse("--disk memory:1M --vhost-user /run/ring");
        Assert.Equal(("memory:1M", "/run/ring", null, false, false, false), (options.Disk, options.VhostUser, options.VfioUser, options.ReadOnly, options.IsRaw, options.IsIncoming));
        Assert.True(options.Serve.IsMigratable);
        Assert.Equal((Math.Min(2 * Environment.ProcessorCount, 64), 1024, 126, 512, 4096, "VMSHUNT0"), (options.Queues, options.QueueSize, options.MaxSegments, options.LogicalBlockSize, options.PhysicalBlockSize, options.Serial));
        Assert.Equal((CacheMode.WriteBack, DiskEngine.Auto, NoSpacePolicy.Fail, WaitPolicy.Adaptive), (options.Cache, options.Engine, options.OnFull, options.Poll));
        Assert.Equal((Math.Clamp(Environment.ProcessorCount / 2, 1, 64), null, RequestTypes.All), (options.Pollers, options.Linger, options.Primary));
        Assert.Equal((TransitionMode.Never, false, new BlockServerOptions().ProbeLimit), (options.Transition, options.PairsSockets, options.ProbeLimit));
    }

    [Fact]
    public void Every_option_is_read()
    {
        var options = Parse(
            "--disk d.img --vhost-user r --vfio-user t --read-only --format raw --incoming --migratable --queues 3 --queue-size 256 --seg-max 62 --logical-block-size 4096 --physical-block-size 8192 --serial ABC --cache direct --engine uring"
            + " --on-full wait --poll never --pollers 5 --linger 1.5 --primary read,write --pid-file p --transition auto --pair sockets --probe-limit 1M --log json --log-level warning --sandbox on --user u");
        Assert.Equal(
            new HostOptions("d.img", "r", "t", true, true, true, true, 3, 256, 62, 4096, 8192, "ABC", CacheMode.Direct, DiskEngine.Uring, NoSpacePolicy.Wait, WaitPolicy.Never, 5, TimeSpan.FromSeconds(1.5), RequestTypes.Data, "p", TransitionMode.Auto, true, 1 << 20, new LogOptions(LogForm.Json, LogLevel.Warning), SandboxOptions.None with { Mode = SandboxMode.On, User = "u" }),
            options);
        Assert.Equal(
            new BlockServerOptions { Queues = 3, QueueSize = 256, MaxSegments = 62, Wait = WaitPolicy.Never, Pollers = 5, Primary = RequestTypes.Data, OnFull = NoSpacePolicy.Wait, Transition = TransitionMode.Auto, PairsSockets = true, ProbeLimit = 1 << 20 }, options.Serve);
        Assert.Equal(
            new HostDiskOptions { ReadOnly = true, IsRaw = true, IsIncoming = true, Cache = CacheMode.Direct, Engine = DiskEngine.Uring, LogicalBlockSize = 4096, PhysicalBlockSize = 8192, Serial = "ABC" }, options.Open);
    }

    [Theory]
    [InlineData("--vhost-user r", true)]
    [InlineData("--vfio-user t", false)]
    [InlineData("--vhost-user r --vfio-user t", false)]
    [InlineData("--vhost-user r --vfio-user t --migratable", true)]
    public void A_guest_that_may_have_the_emulated_disk_is_not_migratable_unless_that_is_said(string sockets, bool isMigratable) =>
        Assert.Equal(isMigratable, Parse($"--disk d.img {sockets}").Serve.IsMigratable);

    /// <summary>The names that QEMU's conventions for vhost-user back-end programs have.</summary>
    [Theory]
    [InlineData("--blk-file=d.img --socket-path=r", "r")]
    [InlineData("--blk-file d.img --fd 7", "fd:7")]
    [InlineData("--blk-file=d.img --fd=7 --read-only", "fd:7")]
    public void Management_layers_use_their_own_names(string arguments, string socket)
    {
        var options = Parse(arguments);
        Assert.Equal(("d.img", socket, arguments.Contains("read-only", StringComparison.Ordinal)), (options.Disk, options.VhostUser, options.ReadOnly));
    }

    [Theory]
    [InlineData("--vhost-user r")]
    [InlineData("--disk memory:1M")]
    [InlineData("--disk memory:1M --vhost-user r --transition auto")]
    [InlineData("--disk memory:1M --vfio-user t --transition auto")]
    [InlineData("--disk memory:1M --vhost-user r --vfio-user t --transition sometimes")]
    [InlineData("--disk memory:1M --vhost-user r --vfio-user t --pair sockets")]
    [InlineData("--disk memory:1M --vhost-user r --vfio-user t --transition auto --pair processes")]
    [InlineData("--disk memory:1M --vhost-user r --vfio-user t --transition auto --probe-limit much")]
    [InlineData("--disk memory:1M --vhost-user r --queues 0")]
    [InlineData("--disk memory:1M --vhost-user r --queues 65")]
    [InlineData("--disk memory:1M --vhost-user r --queue-size 100")]
    [InlineData("--disk memory:1M --vhost-user r --queue-size 65536")]
    [InlineData("--disk memory:1M --vhost-user r --seg-max 0")]
    [InlineData("--disk memory:1M --vhost-user r --seg-max 511")]
    [InlineData("--disk memory:1M --vhost-user r --block-size 512")]
    [InlineData("--disk memory:1M --vhost-user r --logical-block-size 1024")]
    [InlineData("--disk memory:1M --vhost-user r --physical-block-size 1000")]
    [InlineData("--disk memory:1M --vhost-user r --physical-block-size 131072")]
    [InlineData("--disk memory:1M --vhost-user r --logical-block-size 4096 --physical-block-size 512")]
    [InlineData("--disk memory:1M --vhost-user r --serial 123456789012345678901")]
    [InlineData("--disk memory:1M --vhost-user r --format qcow2")]
    [InlineData("--disk memory:1M --vhost-user r --cache never")]
    [InlineData("--disk memory:1M --vhost-user r --engine aio")]
    [InlineData("--disk memory:1M --vhost-user r --on-full panic")]
    [InlineData("--disk memory:1M --vhost-user r --poll sometimes")]
    [InlineData("--disk memory:1M --vhost-user r --pollers 65")]
    [InlineData("--disk memory:1M --vhost-user r --pollers -1")]
    [InlineData("--disk memory:1M --vhost-user r --linger 0")]
    [InlineData("--disk memory:1M --vhost-user r --primary read,verify")]
    [InlineData("--disk memory:1M --vhost-user r --fd 3")]
    [InlineData("--disk memory:1M --fd three")]
    [InlineData("--disk memory:1M --vhost-user r --colour red")]
    public void An_invalid_command_line_exits_with_1_and_starts_no_disk(string arguments) =>
        Assert.Equal(1, HostOptions.Invoke(arguments.Split(' '), static _ => throw new InvalidOperationException("the options were accepted")));
}
