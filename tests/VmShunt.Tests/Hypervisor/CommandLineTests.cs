using System.Text.RegularExpressions;
using VmShunt.Ring.Interop;
using VmShunt.Tests.Trap.VfioUser;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.Hypervisor;

public sealed class CommandLineTests : IDisposable
{
    private readonly string _socket = RunningHypervisor.NewSocket();
    private readonly ServedDevices _served = new();

    public void Dispose() => _served.Dispose();

    [Fact]
    public void Help_names_every_option_and_succeeds()
    {
        using var hypervisor = new RunningHypervisor("--help");
        Assert.Equal(0, hypervisor.WaitForExit());
        foreach (var option in new[] { "--socket", "--device", "--linger", "--patience", "--wait", "--trap-state", "vfio-user=" }) Assert.Contains(option, hypervisor.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "begin with a name")]
    [InlineData("vfio-user=/x", "begin with a name")]
    [InlineData("disk0", "lacks vfio-user=SOCKET")]
    [InlineData("disk0,vhost-user=/x", "lacks vfio-user=SOCKET")]
    [InlineData("disk0,vfio-user=", "contains 'vfio-user='")]
    [InlineData("disk0,vfio-user=/x,vfio-user=/y", "contains 'vfio-user=/y'")]
    [InlineData("disk0,vfio-user=/x,colour=red", "contains 'colour=red'")]
    public void An_invalid_device_option_is_refused_with_a_reason(string device, string expected)
    {
        using var hypervisor = new RunningHypervisor("--socket", _socket, "--device", device);
        Assert.NotEqual(0, hypervisor.WaitForExit());
        Assert.Contains(expected, hypervisor.Errors, StringComparison.Ordinal);
        Assert.Empty(Regex.Matches(hypervisor.Output, "ready"));
    }

    [Fact]
    public void Duplicate_names_a_missing_device_and_invalid_seconds_are_refused()
    {
        using var twice = new RunningHypervisor("--socket", _socket, "--device", "d,vfio-user=/x", "--device", "d,vfio-user=/y");
        using var none = new RunningHypervisor("--socket", _socket);
        using var linger = new RunningHypervisor("--socket", _socket, "--device", "d,vfio-user=/x", "--linger", "-1");
        using var state = new RunningHypervisor("--socket", _socket, "--device", "d,vfio-user=/x", "--trap-state", "most");
        Assert.NotEqual(0, twice.WaitForExit());
        Assert.NotEqual(0, none.WaitForExit());
        Assert.NotEqual(0, linger.WaitForExit());
        Assert.NotEqual(0, state.WaitForExit());
        Assert.Contains("--trap-state takes access or full, not 'most'", state.Errors, StringComparison.Ordinal);
        Assert.Contains("--device takes each name once; d is given 2 times", twice.Errors, StringComparison.Ordinal);
        Assert.Contains("--device", none.Errors, StringComparison.Ordinal);
        Assert.Contains("--linger takes 0 to 1000000 seconds", linger.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_VM_H_is_reported_with_device_socket_and_remedy()
    {
        var missing = RunningHypervisor.NewSocket();
        using var registers = new RunningHypervisor("--socket", _socket, "--device", $"disk7,vfio-user={missing}");
        using var bus = new RunningHypervisor("--socket", _socket, "--device", $"disk7,vfio-user={_served.Path},vhost-user={missing}");
        Assert.Equal(1, registers.WaitForExit());
        Assert.Equal(1, bus.WaitForExit());
        foreach (var errors in new[] { registers.Errors, bus.Errors })
        {
            Assert.Contains("device disk7", errors, StringComparison.Ordinal);
            Assert.Contains(missing, errors, StringComparison.Ordinal);
            Assert.Contains("start vmshunt-host", errors, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_socket_in_use_is_refused_and_a_stale_one_is_replaced()
    {
        using (var first = RunningHypervisor.Ready(_socket, $"d,vfio-user={_served.Path}"))
        {
            using var second = new RunningHypervisor("--socket", _socket, "--device", $"d,vfio-user={_served.Path}") { RemovesSocket = false };
            first.RemovesSocket = false;
            Assert.Equal(1, second.WaitForExit());
            Assert.Contains($"{_socket}: another process is listening there", second.Errors, StringComparison.Ordinal);
        }
        Assert.True(File.Exists(_socket));
        using var third = RunningHypervisor.Ready(_socket, $"d,vfio-user={_served.Path}");
        third.Terminate();
        Assert.Equal(0, third.WaitForExit());
        Assert.Contains("exiting: SIGTERM was received", third.Errors, StringComparison.Ordinal);
        Assert.Matches(@"\d{2}:\d{2}:\d{2}\.\d{6} info: .*hypervisor\[102\] exiting", third.Errors);
        Assert.False(File.Exists(_socket));
    }

    [Fact]
    public void The_hypervisor_exits_when_VM_H_exits_and_guests_are_disconnected()
    {
        using var hypervisor = RunningHypervisor.Ready(_socket, $"disk0,vfio-user={_served.Path}");
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var processor = partition.StartProcessor(0);
        _served.Dispose();
        Exception? lost = null;
        var halted = new Thread(() => lost = Record.Exception(() => processor.Halt()));
        halted.Start();
        Assert.True(halted.Join(60_000), "the processor stays halted");
        Assert.IsType<HypervisorLostException>(lost);
        Assert.Equal(1, hypervisor.WaitForExit());
        Assert.Contains("device disk0: VM-H closed the connection", hypervisor.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void With_linger_the_hypervisor_exits_after_the_last_guest()
    {
        using var hypervisor = RunningHypervisor.Ready(_socket, $"disk0,vfio-user={_served.Path}", "--linger", "1");
        GuestPartition.Create(_socket, 1 << 20, 1).Dispose();
        Assert.Equal(0, hypervisor.WaitForExit());
        Assert.Contains("no guest has been connected for 1 s", hypervisor.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void Random_bytes_on_the_socket_do_no_harm()
    {
        using var hypervisor = RunningHypervisor.Ready(_socket, $"disk0,vfio-user={_served.Path}");
        for (var bytes = 0; bytes < 60; bytes += 5)
        {
            using var stranger = UnixConnection.Connect(_socket);
            stranger.Send(new byte[bytes]);
        }
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var processor = partition.StartProcessor(0);
        Assert.Equal(HypercallStatus.Success, processor.Invoke(Hypercall.Identify));
    }
}
