using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>
/// A disk of a Linux guest whose VM-H ends and starts again, under the load of <see cref="GuestScripts"/> for as long as a test
/// lasts; a disk is lost when that makes no progress.
/// </summary>
/// <param name="guest">The guest.</param>
/// <param name="name">The disk's name in the guest.</param>
/// <param name="arguments">The arguments of VM-H.</param>
internal sealed class RestartableDisk(Func<QemuGuest> guest, string name, IReadOnlyList<string> arguments) : IAsyncDisposable
{
    private const int EndlessRounds = 1_000_000;

    private ChildProcess? _host;

    internal ChildProcess Host => _host!;

    internal string Device => "/dev/" + name;

    internal async Task StartHostAsync() => _host = await Programs.StartReadyAsync("vmshunt-host", arguments);

    internal Task StartLoadAsync() => guest().RunAsync($"rm -f /stop-{name} /over-{name} /bad-{name} /count-{name}; load {name} 0 {EndlessRounds} > /dev/null 2>&1 & sleep 0");

    /// <summary>Waits until the load has written and read a few times more.</summary>
    internal async Task ProgressAsync(string after)
    {
        var count = await CountAsync();
        await Until.TrueAsync(async () => await CountAsync() > count + 2, $"{Device} is used after {after}; VM-H wrote:\n{string.Join('\n', Host.LastErrors.TakeLast(12))}");
    }

    /// <summary>Stops the load; nothing it read differed, and the guest saw no error.</summary>
    internal async Task AssertLoadWellAsync()
    {
        await guest().RunAsync($"touch /stop-{name}");
        await Until.TrueAsync(async () => (await guest().TryAsync($"test -e /over-{name}")).Code == 0, $"the load of {Device} stops");
        Assert.NotEqual(0, (await guest().TryAsync($"cat /bad-{name}")).Code);
        Assert.DoesNotContain("I/O error", await guest().RunAsync("dmesg"), StringComparison.OrdinalIgnoreCase);
    }

    /// <summary>Waits for VM-H's end and starts another.</summary>
    internal async Task ReplaceHostAsync()
    {
        await Programs.WaitForEndAsync(Host);
        await Host.DisposeAsync();
        await StartHostAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (_host is not null) await _host.DisposeAsync();
    }

    private async Task<int> CountAsync() => await guest().TryAsync($"cat /count-{name}") is (0, var text) && int.TryParse(text, out var count) ? count : 0;
}
