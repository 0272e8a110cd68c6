using VmShunt.BlockDriver;
using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Faults;

/// <summary>
/// System calls of VM-H that fail once, each at each place of a session, while another guest works: the newcomer may be refused,
/// the other guest notices nothing, and a newcomer afterwards is served.
/// </summary>
public sealed class InjectionTests(ITestOutputHelper output) : IDisposable
{
    private static readonly BlockDiskOptions s_options = new()
    {
        OnDisconnect = DisconnectPolicy.Fail,
        ResponseTimeout = TimeSpan.FromSeconds(5),
        DrainTimeout = TimeSpan.FromSeconds(1),
        SharedMemoryBytes = 4 << 20,
    };

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    // A runtime maps memory for itself, too; it survives no failure of that (docs/failure-modes.md).
    [SystemCallTheory]
    [InlineData("accept4", "EMFILE", 3)]
    [InlineData("accept4", "ECONNABORTED", 3)]
    [InlineData("clone3", "EAGAIN", 3)]
    [InlineData("eventfd2", "EMFILE", 4)]
    [InlineData("memfd_create", "EMFILE", 2)]
    [InlineData("fcntl", "EMFILE", 6)]
    [InlineData("fstat", "EIO", 4)]
    [InlineData("statx", "EIO", 4)]
    [InlineData("recvmsg", "ECONNRESET", 6)]
    [InlineData("recvmsg", "ENOMEM", 6)]
    [InlineData("sendmsg", "EPIPE", 6)]
    [InlineData("sendmsg", "ENOBUFS", 6)]
    [InlineData("getsockopt", "ENOBUFS", 3)]
    [InlineData("pread64", "EIO", 3)]
    [InlineData("preadv", "EIO", 3)]
    [InlineData("pwrite64", "ENOSPC", 3)]
    [InlineData("fdatasync", "EIO", 2)]
    [InlineData("epoll_ctl", "ENOMEM", 3)]
    [InlineData("shutdown", "ENOTCONN", 2)]
    public async Task A_system_call_that_fails_once_costs_its_own_session_at_most(string call, string error, int places)
    {
        var ring = _folder["ring"];
        var disk = _folder.RandomFile("disk.img", 8 << 20);
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--engine", "pread", "--vhost-user", ring, "--poll", "never", "--queues", "2");
        await using var other = await Programs.StartReadyAsync("vmshunt-guest", "--bus", ring, "--memory", "32M", "console");
        var console = new GuestConsole(other);
        // Every code path has run once, so that what fails below is not the runtime's own loading.
        await VisitAsync(ring);
        var refused = 0;
        for (var place = 1; place <= places; place++)
        {
            await using (await Strace.AttachAsync(host.Id, "-e", $"trace={call}", "-e", $"inject={call}:error={error}:when={place}"))
            {
                if (!await TryVisitAsync(ring)) refused++;
            }
            Assert.False(host.Ended.IsCompleted, $"VM-H still runs after {call} failed at place {place}");
            await VisitAsync(ring);
            var answer = await console.AskAsync($"read --sector 0 --count 8 --output {_folder["read"]}", Programs.AnyAnswer, Until.Patience, default);
            Assert.Equal(4096, answer.GetProperty("bytes").GetInt32());
        }
        output.WriteLine($"{call} {error}: {refused} of {places} newcomers refused; {string.Join("; ", host.LastErrors.TakeLast(4))}");
    }

    private static async Task VisitAsync(string ring) => Assert.True(await TryVisitAsync(ring), "a newcomer is served");

    /// <summary>A front-end that connects, reads, writes and flushes, and leaves.</summary>
    /// <returns>False when VM-H refused it or failed its request.</returns>
    private static async Task<bool> TryVisitAsync(string ring)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        try
        {
            await using var disk = await BlockDisk.ConnectAsync(ring, s_options, limit.Token);
            var buffer = new byte[4096];
            await disk.ReadAsync(buffer, 0, limit.Token);
            await disk.WriteAsync(buffer, 0, limit.Token);
            await disk.FlushAsync(limit.Token);
            return true;
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            return false;
        }
    }
}
