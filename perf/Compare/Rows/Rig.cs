using System.Globalization;
using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Sitting;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>The processes and files that one row measures; they end with it, the newest first.</summary>
internal sealed class Rig(CompareSession session) : IAsyncDisposable
{
    private readonly List<object> _held = [];

    internal CompareSession CompareSession => session;

    internal Disk MemoryDisk => new(Disk.Memory, "noise", session.Options.DiskBytes);

    internal Disk NullDisk => new(Disk.Null, "nothing", session.Options.DiskBytes);

    internal Disk CachedFile => new(Disk.PageCache, "noise", session.Options.DiskBytes);

    internal Disk DirectFile => new(Disk.Direct, "noise", session.Options.DiskBytes);

    /// <summary>VM-H on a disk, and a polling guest on its ring.</summary>
    internal async Task<BusGuest> HostAsync(Disk disk, string subject, string? spec = null, string[]? hostOptions = null, params string[] guestOptions)
    {
        // Read-only, so that several may hold the file at once.
        string[] cache = disk.Medium switch
        {
            Disk.Direct => ["--read-only", "--cache", "direct"],
            Disk.PageCache => ["--read-only"],
            _ => [],
        };
        spec ??= disk.Medium switch
        {
            Disk.Memory => $"memory:{disk.Bytes}",
            Disk.Null => $"null:{disk.Bytes}",
            _ => session.DiskFile,
        };
        var backEnd = Hold(await BackEnd.HostAsync(session, subject, disk, spec, [.. cache, .. hostOptions ?? []]));
        var guest = await GuestAsync(backEnd, guestOptions);
        if (disk.Medium == Disk.Memory) await FillAsync(guest, disk);
        return guest;
    }

    // Memory that was never written is one page of zeros, and always in the nearest cache.
    private static async Task FillAsync(BusGuest guest, Disk disk)
    {
        const int block = 1 << 20;
        await guest.BenchAsync(string.Create(CultureInfo.InvariantCulture, $"bench --operation write --block-size {block} --depth 4 --requests {disk.Bytes / block}"), default);
    }

    /// <summary>Another polling guest on a back-end.</summary>
    internal async Task<BusGuest> GuestAsync(BackEnd backEnd, params string[] options) => Hold(await BusGuest.ConnectAsync(session, backEnd, "busy", options));

    /// <summary>A guest for calls that poll. Its queue's thread sleeps meanwhile: one that spun would take the core of one of the two that poll.</summary>
    internal async Task<BusGuest> CallerAsync(BackEnd backEnd, params string[] options) =>
        Hold(await BusGuest.ConnectAsync(session, backEnd, "adaptive", ["--poll-queues", "1", .. options]));

    /// <summary>Guests on a back-end that wait as guests do by default.</summary>
    internal async Task<IReadOnlyList<BusGuest>> CrowdAsync(BackEnd backEnd, int count)
    {
        var guests = new List<BusGuest>();
        // A few at a time: starting is work too.
        const int together = 4;
        while (guests.Count < count)
            guests.AddRange(await Task.WhenAll(Enumerable.Range(0, Math.Min(together, count - guests.Count)).Select(_ => BusGuest.ConnectAsync(session, backEnd, "adaptive"))));
        foreach (var guest in guests) Hold(guest);
        return guests;
    }

    /// <summary>qemu-storage-daemon on a disk in each of its engines, each with a polling guest; nothing where it is not installed.</summary>
    internal async Task<IReadOnlyList<(string Subject, BusGuest Guest)>> StorageDaemonsAsync(Disk disk)
    {
        var direct = disk.Medium == Disk.Direct;
        string File(string engine) => $"driver=file,filename={session.DiskFile},aio={engine},cache.direct={(direct ? "on" : "off")},read-only=on";
        (string Engine, string BlockDevice, bool OwnThread)[] engines = disk.Medium == Disk.Null
            ? [("null-co", $"driver=null-co,size={disk.Bytes}", false), ("null-co, iothread", $"driver=null-co,size={disk.Bytes}", true)]
            :
            [
                ("io_uring", File("io_uring"), false), ("io_uring, iothread", File("io_uring"), true),
                // Its native engine (libaio) needs O_DIRECT.
                direct ? ("native, iothread", File("native"), true) : ("threads", File("threads"), false),
            ];
        var started = new List<(string, BusGuest)>();
        foreach (var (engine, blockDevice, ownThread) in session.Options.Quick ? engines[..1] : engines)
        {
            var subject = $"qsd {engine}";
            if (await BackEnd.StorageDaemonAsync(session, subject, disk, blockDevice, ownThread) is not { } backEnd) return [];
            Hold(backEnd);
            started.Add((subject, await GuestAsync(backEnd)));
        }
        return started;
    }

    /// <summary>The file itself, read in process.</summary>
    internal DirectPath OpenFile() => Hold(new DirectPath(session.DiskFile, mayWrite: false, session.WholeDisk));

    internal T Hold<T>(T held) where T : notnull
    {
        _held.Add(held);
        return held;
    }

    /// <summary>The three processes, booted, in a mode.</summary>
    internal async Task<Machine> MachineAsync(string mode)
    {
        var machine = Hold(await Machine.BootAsync(session, mode));
        await machine.FindDataAsync();
        return machine;
    }

    public async ValueTask DisposeAsync()
    {
        for (var i = _held.Count - 1; i >= 0; i--)
        {
            if (_held[i] is IAsyncDisposable later) await later.DisposeAsync();
            else ((IDisposable)_held[i]).Dispose();
        }
    }
}
