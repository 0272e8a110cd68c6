using VmShunt.BlockBackend;
using VmShunt.HostPartition;
using VmShunt.Ring.Notification;
using VmShunt.Ring.VirtioBlk;

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
        Assert.Equal(("memory:1M", "/run/ring", null, false), (options.Disk, options.VhostUser, options.VfioUser, options.ReadOnly));
        Assert.Equal((Math.Min(2 * Environment.ProcessorCount, 64), 1024, 512, "VMSHUNT0"), (options.Queues, options.QueueSize, options.BlockBytes, options.Serial));
        Assert.Equal((CacheMode.WriteBack, DiskEngine.Auto, NoSpacePolicy.Fail, WaitPolicy.Adaptive), (options.Cache, options.Engine, options.OnFull, options.Poll));
        Assert.Equal((Math.Clamp(Environment.ProcessorCount / 2, 1, 64), null, RequestTypes.All), (options.Pollers, options.Linger, options.Primary));
    }

    [Fact]
    public void Every_option_is_read()
    {
        var options = Parse(
            "--disk d.img --vhost-user r --vfio-user t --read-only --queues 3 --queue-size 256 --block-size 4096 --serial ABC --cache direct --engine uring"
            + " --on-full wait --poll never --pollers 5 --linger 1.5 --primary read,write");
        Assert.Equal(
            new HostOptions("d.img", "r", "t", true, 3, 256, 4096, "ABC", CacheMode.Direct, DiskEngine.Uring, NoSpacePolicy.Wait, WaitPolicy.Never, 5, TimeSpan.FromSeconds(1.5), RequestTypes.Data),
            options);
        Assert.Equal(
            new BlockServerOptions { Queues = 3, QueueSize = 256, Wait = WaitPolicy.Never, Pollers = 5, Primary = RequestTypes.Data, OnFull = NoSpacePolicy.Wait }, options.Serve);
        Assert.Equal(
            new HostDiskOptions { ReadOnly = true, Cache = CacheMode.Direct, Engine = DiskEngine.Uring, LogicalBlockSize = 4096, Serial = "ABC" }, options.Open);
    }

    [Theory]
    [InlineData("--vhost-user r")]
    [InlineData("--disk memory:1M")]
    [InlineData("--disk memory:1M --vhost-user r --queues 0")]
    [InlineData("--disk memory:1M --vhost-user r --queues 65")]
    [InlineData("--disk memory:1M --vhost-user r --queue-size 100")]
    [InlineData("--disk memory:1M --vhost-user r --queue-size 65536")]
    [InlineData("--disk memory:1M --vhost-user r --block-size 1024")]
    [InlineData("--disk memory:1M --vhost-user r --serial 123456789012345678901")]
    [InlineData("--disk memory:1M --vhost-user r --cache never")]
    [InlineData("--disk memory:1M --vhost-user r --engine aio")]
    [InlineData("--disk memory:1M --vhost-user r --on-full panic")]
    [InlineData("--disk memory:1M --vhost-user r --poll sometimes")]
    [InlineData("--disk memory:1M --vhost-user r --pollers 65")]
    [InlineData("--disk memory:1M --vhost-user r --pollers -1")]
    [InlineData("--disk memory:1M --vhost-user r --linger 0")]
    [InlineData("--disk memory:1M --vhost-user r --primary read,verify")]
    [InlineData("--disk memory:1M --vhost-user r --colour red")]
    public void An_invalid_command_line_exits_with_1_and_starts_no_disk(string arguments) =>
        Assert.Equal(1, HostOptions.Invoke(arguments.Split(' '), static _ => throw new InvalidOperationException("the options were accepted")));
}
