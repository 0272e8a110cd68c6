using VmShunt.Perf.Launch;

namespace VmShunt.Perf.Lifecycle.Rigs;

/// <summary>The events that happen to VM-H, whatever the front-end is.</summary>
internal static class HostEvents
{
    /// <summary>How-manieth call of a disk under load is the one at which VM-H is killed.</summary>
    private const int LoadedCall = 3;

    /// <returns>False: the event is one of the front-end.</returns>
    internal static async Task<bool> TryActAsync(EventKind kind, IReadOnlyList<RigDisk> disks)
    {
        switch (kind)
        {
            case EventKind.Terminate:
                await Task.WhenAll(disks.Select(static disk => disk.RestartHostAsync(Signal.Terminate)));
                return true;
            case EventKind.Kill:
                await Task.WhenAll(disks.Select(static disk => disk.RestartHostAsync(Signal.Kill)));
                return true;
            case EventKind.KillInSetUp:
                await Task.WhenAll(disks.Select(static disk => disk.DieInSetUpAsync()));
                return true;
            case EventKind.Withdraw:
                await Task.WhenAll(disks.Select(static disk => disk.WithdrawAsync()));
                return true;
            case EventKind.Freeze:
                foreach (var disk in disks) _ = Signal.Send(disk.Host.Id, Signal.Stop);
                await Task.Delay(TimeSpan.FromSeconds(2));
                foreach (var disk in disks) _ = Signal.Send(disk.Host.Id, Signal.Continue);
                return true;
            default:
                return false;
        }
    }

    /// <summary>Kills each disk's VM-H at a system call; one that makes no such call is <see cref="RigDisk.IsSpared"/>.</summary>
    /// <param name="call">The call.</param>
    /// <param name="disks">The disks.</param>
    /// <param name="useAsync">Sends the next request to an idle disk, whose VM-H makes its calls then.</param>
    internal static async Task KillAtCallAsync(string call, IReadOnlyList<RigDisk> disks, Func<RigDisk, Task> useAsync)
    {
        using var turn = new SemaphoreSlim(1);
        await Task.WhenAll(disks.Select(async disk => disk.IsSpared = !await disk.KillAtCallAsync(call, disk.IsLoaded ? LoadedCall : 1, async () =>
        {
            if (disk.IsLoaded) return;
            await turn.WaitAsync();
            try
            {
                await useAsync(disk);
            }
            finally
            {
                turn.Release();
            }
        })));
    }
}
