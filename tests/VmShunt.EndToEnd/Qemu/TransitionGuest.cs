using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>A guest of QEMU from sid that has one disk by both paths, and the VM-H that makes its transition.</summary>
internal sealed class TransitionGuest : IAsyncDisposable
{
    private TransitionGuest(ChildProcess host, QemuGuest guest, QemuMonitor monitor) => (Host, Linux, Monitor) = (host, guest, monitor);

    internal ChildProcess Host { get; }

    internal QemuGuest Linux { get; }

    internal QemuMonitor Monitor { get; }

    /// <summary>Starts both, with a guest that a function starts from the options of its disk and monitor.</summary>
    internal static async Task<TransitionGuest> StartAsync(TestFolder folder, string disk, Func<IEnumerable<string>, Task<QemuGuest>> start, bool isBooted = false)
    {
        string ring = folder["ring"], trap = folder["trap"], monitor = folder["monitor"];
        var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", ring, "--vfio-user", trap, "--transition", "auto");
        QemuGuest? guest = null;
        try
        {
            guest = await start([.. QemuMonitor.Options(monitor), .. QemuGuest.Disk(ring, reconnect: QemuProgram.Sid.Reconnect), .. QemuGuest.EmulatedDisk(trap, isBooted)]);
            return new TransitionGuest(host, guest, await QemuMonitor.ConnectWhenReadyAsync(monitor));
        }
        catch
        {
            if (guest is not null) await guest.DisposeAsync();
            await host.DisposeAsync();
            throw;
        }
    }

    /// <summary>As <see cref="StartAsync"/>, with our Linux.</summary>
    internal static Task<TransitionGuest> BootAsync(TestFolder folder, string disk, LinuxBoot boot) =>
        StartAsync(folder, disk, options => QemuGuest.BootLinuxWithAsync(boot, QemuProgram.Sid, 1, options));

    /// <summary>The disks that Linux has.</summary>
    internal Task<string> DisksAsync() => Linux.RunAsync("echo $(ls /sys/block)");

    /// <summary>Waits until Linux has these disks.</summary>
    internal Task AwaitDisksAsync(string disks) => Linux.RunAsync($"i=0; until [ \"$(echo $(ls /sys/block))\" = '{disks}' ]; do sleep 0.1; i=$((i + 1)); [ $i -lt 900 ] || {{ ls /sys/block; false; break; }}; done");

    /// <summary>Takes the disk from virtio_blk, or gives it to it.</summary>
    internal Task BindAsync(bool isBound) => Linux.RunAsync($"echo virtio0 > /sys/bus/virtio/drivers/virtio_blk/{(isBound ? "bind" : "unbind")}");

    /// <summary>What Linux logged about the emulated disk's port and disk.</summary>
    internal Task<string> DiskLogAsync() => Linux.RunAsync("dmesg | grep -E 'sd[a-z]|ATA-' || true");

    /// <summary>Waits for a line of VM-H about the transition.</summary>
    internal Task AwaitChangeAsync(string text) => Until.TrueAsync(() => Changes().Any(line => line.Contains(text, StringComparison.Ordinal)), $"VM-H logs '{text}'");

    internal IEnumerable<string> Changes() => Host.LastErrors.Where(static line => line.Contains("transition: ", StringComparison.Ordinal));

    public async ValueTask DisposeAsync()
    {
        Monitor.Dispose();
        await Linux.DisposeAsync();
        await Host.DisposeAsync();
    }
}
