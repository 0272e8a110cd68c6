using System.Globalization;
using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>The processes and files of one row. Dispose stops them, the newest first.</summary>
internal sealed class Rig(CompareSession session) : IAsyncDisposable
{
    private readonly List<object> _held = [];

    internal CompareSession CompareSession => session;

    internal BackEndDisk MemoryDisk => new(BackEndDisk.Memory, "noise", session.Options.DiskBytes);

    internal BackEndDisk NullDisk => new(BackEndDisk.Null, "nothing", session.Options.DiskBytes);

    internal BackEndDisk CachedFile => new(BackEndDisk.PageCache, "noise", session.Options.DiskBytes);

    internal BackEndDisk DirectFile => new(BackEndDisk.Direct, "noise", session.Options.DiskBytes);

    /// <summary>VM-H on a disk, and a busy-polling guest on its ring.</summary>
    internal async Task<BusGuest> HostAsync(
        BackEndDisk disk, string subject, string? spec = null, string[]? hostOptions = null, string? program = null, params string[] guestOptions)
    {
        // Read-only, so that several processes may open the file.
        string[] cache = disk.Medium switch
        {
            BackEndDisk.Direct => ["--read-only", "--cache", "direct"],
            BackEndDisk.PageCache => ["--read-only"],
            _ => [],
        };
        spec ??= disk.Medium switch
        {
            BackEndDisk.Memory => $"memory:{disk.Bytes}",
            BackEndDisk.Null => $"null:{disk.Bytes}",
            _ => session.DiskFile,
        };
        var backEnd = Hold(await BackEnd.HostAsync(session, subject, disk, program ?? session.Own("vmshunt-host"), spec, [.. cache, .. hostOptions ?? []]));
        var guest = await GuestAsync(backEnd, guestOptions);
        if (disk.Medium == BackEndDisk.Memory) await FillAsync(guest, disk);
        return guest;
    }

    // Memory that was never written maps to one zero page, which is always cached.
    private static async Task FillAsync(BusGuest guest, BackEndDisk disk)
    {
        const int block = 1 << 20;
        await guest.BenchAsync(string.Create(CultureInfo.InvariantCulture, $"bench --operation write --block-size {block} --depth 4 --requests {disk.Bytes / block}"), default);
    }

    /// <summary>Another busy-polling guest on a back-end.</summary>
    internal async Task<BusGuest> GuestAsync(BackEnd backEnd, params string[] options) => Hold(await BusGuest.ConnectAsync(session, backEnd, "busy", options));

    /// <summary>A guest for polled calls. Its queue thread sleeps meanwhile; a spinning one would compete with the two polling threads for a core.</summary>
    internal async Task<BusGuest> CallerAsync(BackEnd backEnd, params string[] options) =>
        Hold(await BusGuest.ConnectAsync(session, backEnd, "adaptive", ["--poll-queues", "1", .. options]));

    /// <summary>Guests on a back-end that wait adaptively, as guests do by default.</summary>
    internal async Task<IReadOnlyList<BusGuest>> ManyGuestsAsync(BackEnd backEnd, int count)
    {
        var guests = new List<BusGuest>();
        // A few at a time, because each start uses CPU time.
        const int parallel = 4;
        while (guests.Count < count)
            guests.AddRange(await Task.WhenAll(Enumerable.Range(0, Math.Min(parallel, count - guests.Count)).Select(_ => BusGuest.ConnectAsync(session, backEnd, "adaptive"))));
        foreach (var guest in guests) Hold(guest);
        return guests;
    }

    /// <summary>One qemu-storage-daemon per engine on a disk, each with a busy-polling guest; empty if it is not installed.</summary>
    internal async Task<IReadOnlyList<(string Subject, BusGuest Guest)>> StorageDaemonsAsync(BackEndDisk disk)
    {
        var direct = disk.Medium == BackEndDisk.Direct;
        string File(string engine) => $"driver=file,filename={session.DiskFile},aio={engine},cache.direct={(direct ? "on" : "off")},read-only=on";
        (string Engine, string BlockDevice, bool OwnThread)[] engines = disk.Medium == BackEndDisk.Null
            ? [("null-co", $"driver=null-co,size={disk.Bytes}", false), ("null-co, iothread", $"driver=null-co,size={disk.Bytes}", true)]
            :
            [
                ("io_uring", File("io_uring"), false), ("io_uring, iothread", File("io_uring"), true),
                // The native engine (libaio) needs O_DIRECT.
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

    /// <summary>The file, read in process with <c>pread</c>.</summary>
    internal DirectPath OpenFile() => Hold(new DirectPath(session.DiskFile, mayWrite: false, session.WholeDisk));

    /// <summary>The file, read in process with io_uring.</summary>
    internal UringPath OpenUring(BackEndDisk disk, Workload workload) => Hold(new UringPath(session.DiskFile, disk.Medium == BackEndDisk.Direct, workload, disk.Bytes));

    internal T Hold<T>(T held) where T : notnull
    {
        _held.Add(held);
        return held;
    }

    /// <summary>A booted machine of three processes in the given mode.</summary>
    internal async Task<BootedMachine> MachineAsync(string mode)
    {
        var machine = Hold(await BootedMachine.BootAsync(session, mode));
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
