using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>
/// A disk of a Linux guest whose VM-H ends and starts again. The guest writes it, reads it back and compares, for as long as
/// a test lasts; a disk is lost when that makes no progress.
/// </summary>
/// <param name="guest">The guest, with /seed in it.</param>
/// <param name="name">The disk's name in the guest.</param>
/// <param name="arguments">The arguments of VM-H.</param>
internal sealed class RestartableDisk(Func<QemuGuest> guest, string name, IReadOnlyList<string> arguments) : IAsyncDisposable
{
    private const int SeedBytes = 1 << 20;

    private ChildProcess? _host;

    internal ChildProcess Host => _host!;

    internal string Device => "/dev/" + name;

    internal async Task StartHostAsync() => _host = await Programs.StartReadyAsync("vmshunt-host", arguments);

    /// <summary>Another VM-H serves the disk from now on.</summary>
    /// <returns>The one that served it.</returns>
    internal ChildProcess Change(ChildProcess host)
    {
        var old = Host;
        _host = host;
        return old;
    }

    /// <summary>Makes the data that every disk's load writes.</summary>
    internal static Task MakeSeedAsync(QemuGuest guest) => guest.RunAsync($"head -c {SeedBytes} /dev/urandom > /seed");

    internal Task StartLoadAsync() => guest().RunAsync(
        $"rm -f /stop-{name} /over-{name} /bad-{name} /count-{name}; (i=0; while [ ! -e /stop-{name} ]; do "
        + $"dd if=/seed of={Device} bs=64k seek=$((i % 16 * 16)) oflag=direct conv=notrunc && dd if={Device} bs=64k skip=$((i % 16 * 16)) count=16 iflag=direct | cmp - /seed || echo $i >> /bad-{name}; "
        + $"i=$((i + 1)); echo $i > /count-{name}; done; echo over > /over-{name}) > /dev/null 2>&1 & sleep 0");

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

    /// <summary>Ends VM-H with a signal and starts another.</summary>
    internal async Task RestartHostAsync(int signal)
    {
        ProcessTable.Send(Host.Id, signal);
        await ReplaceHostAsync();
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
