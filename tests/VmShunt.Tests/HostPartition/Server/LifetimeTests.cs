using VmShunt.HostPartition;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Server;

public sealed class LifetimeTests
{
    private static readonly TimeSpan s_linger = TimeSpan.FromMilliseconds(100), s_patience = TimeSpan.FromSeconds(60);

    private readonly LogLines _log = new();

    [Fact]
    public void The_process_exits_when_the_last_client_has_been_disconnected_for_the_linger_time()
    {
        using var lifetime = new Lifetime(s_linger, _log);
        lifetime.ClientsChanged(1);
        lifetime.ClientsChanged(1);
        lifetime.ClientsChanged(-1);
        lifetime.ClientsChanged(-1);
        lifetime.WaitForExit();
        Assert.Equal(["stopping: the last client disconnected 0.1 s ago"], _log.All);
    }

    [Fact]
    public void A_client_that_stays_connected_keeps_the_process_alive()
    {
        using var lifetime = new Lifetime(s_linger, _log);
        var exit = new Thread(lifetime.WaitForExit) { IsBackground = true };
        exit.Start();
        lifetime.ClientsChanged(1);
        lifetime.ClientsChanged(1);
        lifetime.ClientsChanged(-1);
        Assert.False(exit.Join(5 * s_linger));
        lifetime.ClientsChanged(-1);
        Assert.True(exit.Join(s_patience));
    }

    [Fact]
    public void Without_a_linger_time_the_process_waits_for_the_next_client()
    {
        using var lifetime = new Lifetime(null, _log);
        var exit = new Thread(lifetime.WaitForExit) { IsBackground = true };
        exit.Start();
        lifetime.ClientsChanged(1);
        lifetime.ClientsChanged(-1);
        Assert.False(exit.Join(5 * s_linger));
    }
}
