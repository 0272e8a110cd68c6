using System.CommandLine;
using System.CommandLine.Invocation;
using System.Globalization;
using VmShunt.HostPartition.Disk;
using VmShunt.HostPartition.VirtioBlk.Serving;
using VmShunt.Ring.Notification;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.HostPartition.Process;

/// <summary>The command line of <c>vmshunt-host</c>.</summary>
internal sealed record HostOptions(
    string Disk,
    string? VhostUser,
    string? VfioUser,
    bool ReadOnly,
    int Queues,
    int QueueSize,
    int BlockBytes,
    string Serial,
    CacheMode Cache,
    DiskEngine Engine,
    NoSpacePolicy OnFull,
    WaitPolicy Poll,
    int Pollers,
    TimeSpan? Linger,
    RequestTypes Primary)
{
    /// <summary>What of it the virtio-blk device needs.</summary>
    internal RingOptions Ring => new(Queues, QueueSize, Poll, Primary);

    /// <summary>Parses the arguments and runs <paramref name="run"/> with them.</summary>
    /// <returns>The exit code.</returns>
    internal static int Invoke(string[] args, Func<HostOptions, int> run)
    {
        var disk = new Option<string>("--disk") { Required = true, HelpName = "SPEC", Description = "a raw image or block device, memory:SIZE, null:SIZE, or an NBD export (nbd://HOST/EXPORT, nbd+unix:///EXPORT?socket=PATH); SIGHUP makes VM-H look at its size again" };
        var vhostUser = new Option<string?>("--vhost-user") { HelpName = "SOCKET", Description = "serve virtio-blk over vhost-user here (the ring); SIGUSR1 withdraws it, SIGUSR2 offers it again" };
        var vfioUser = new Option<string?>("--vfio-user") { HelpName = "SOCKET", Description = "serve an emulated AHCI controller over vfio-user here (the trap)" };
        var readOnly = new Option<bool>("--read-only") { Description = "open the disk for reading only; others may read it too then, but not write it" };
        var queues = new Option<int>("--queues") { DefaultValueFactory = _ => Math.Min(2 * Environment.ProcessorCount, 64), Description = "request queues offered, 1 to 64; by default two a processor, so that a guest has some left for calls that poll" };
        var queueSize = new Option<int>("--queue-size") { DefaultValueFactory = _ => 1024, Description = "the largest ring, a power of two up to 32768" };
        var blockSize = new Option<int>("--block-size") { DefaultValueFactory = _ => 512, Description = "the block size that the disk prefers: 512 or 4096" };
        var serial = new Option<string>("--serial") { DefaultValueFactory = _ => "VMSHUNT0", HelpName = "TEXT", Description = "the serial number, up to 20 characters" };
        var cache = new Option<string>("--cache") { DefaultValueFactory = _ => "writeback", Description = "when a write is durable: writeback (at a flush), writethrough (at once), or direct (at a flush, and past the page cache)" };
        var engine = new Option<string>("--engine") { DefaultValueFactory = _ => "auto", Description = "how an image or block device is read and written: pread (a system call a request), mmap (reads copied from the page cache), uring (io_uring: many at once), or auto (what suits it)" };
        var onFull = new Option<string>("--on-full") { DefaultValueFactory = _ => "fail", Description = "what a write does when the host's disk is full: fail (an I/O error in the guest) or wait (until there is room)" };
        cache.AcceptOnlyFromAmong("writeback", "writethrough", "direct");
        engine.AcceptOnlyFromAmong("auto", "pread", "mmap", "uring");
        onFull.AcceptOnlyFromAmong("fail", "wait");
        var poll = new Option<WaitPolicy>("--poll") { DefaultValueFactory = _ => WaitPolicy.Adaptive, Description = "how rings are waited for: adaptive, busy or never (spin)" };
        var pollers = new Option<string>("--pollers") { DefaultValueFactory = _ => "auto", HelpName = "N", Description = "threads that serve the rings of all guests together, where requests never wait (memory:, null:): 0 to 64, 0 for a thread a ring, or auto (one for two processors)" };
        var primary = new Option<string>("--primary") { HelpName = "LIST", DefaultValueFactory = _ => "all", Description = "the classes of requests to do on the ring, of read,write,flush,discard,write-zeroes; others are refused there, and a shunt that would send them is" };
        var linger = new Option<double?>("--linger") { HelpName = "SECONDS", Description = "end by itself when the last client has been gone this long" };
        queues.Validators.Add(r => Require(r.GetValue(queues) is >= 1 and <= 64, r, "--queues takes 1 to 64"));
        queueSize.Validators.Add(r => Require(SplitLayout.IsValidSize(r.GetValue(queueSize)), r, "--queue-size takes a power of two up to 32768"));
        blockSize.Validators.Add(r => Require(r.GetValue(blockSize) is 512 or 4096, r, "--block-size takes 512 or 4096"));
        serial.Validators.Add(r => Require(r.GetValue(serial) is { Length: >= 1 and <= 20 } text && text.All(char.IsAscii), r, "--serial takes 1 to 20 ASCII characters"));
        pollers.Validators.Add(r => Require(TryParsePollers(r.GetValue(pollers)!, out _), r, "--pollers takes 0 to 64, or auto"));
        primary.Validators.Add(r => Require(RequestTypeList.TryParse(r.GetValue(primary)!, out _), r, "--primary takes a list of read, write, flush, discard, write-zeroes with commas between them, or all"));
        linger.Validators.Add(r => Require(r.GetValue(linger) is > 0 and < 1e6, r, "--linger takes a positive number of seconds"));

        var root = new RootCommand("VM-H: the host partition that owns a disk and serves it to guests over the ring (vhost-user) and the trap (vfio-user)")
        {
            disk, vhostUser, vfioUser, readOnly, queues, queueSize, blockSize, serial, cache, engine, onFull, poll, pollers, linger, primary,
        };
        root.Validators.Add(r => Require(
            r.GetValue(vhostUser) is not null || r.GetValue(vfioUser) is not null,
            r,
            "name at least one socket to serve the disk on: --vhost-user SOCKET, --vfio-user SOCKET, or both"));
        root.SetAction(r => run(new HostOptions(
            r.GetValue(disk)!,
            r.GetValue(vhostUser),
            r.GetValue(vfioUser),
            r.GetValue(readOnly),
            r.GetValue(queues),
            r.GetValue(queueSize),
            r.GetValue(blockSize),
            r.GetValue(serial)!,
            Enum.Parse<CacheMode>(r.GetValue(cache)!, ignoreCase: true),
            Enum.Parse<DiskEngine>(r.GetValue(engine)!, ignoreCase: true),
            Enum.Parse<NoSpacePolicy>(r.GetValue(onFull)!, ignoreCase: true),
            r.GetValue(poll),
            TryParsePollers(r.GetValue(pollers)!, out var threads) ? threads : 0,
            r.GetValue(linger) is { } seconds ? TimeSpan.FromSeconds(seconds) : null,
            RequestTypeList.TryParse(r.GetValue(primary)!, out var classes) ? classes : RequestTypes.All)));
        var parsed = root.Parse(args);
        if (parsed.Action is ParseErrorAction)
        {
            var faults = string.Join(' ', parsed.Errors.Select(error => error.Message)).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            Console.Error.WriteLine($"vmshunt-host: {string.Join(' ', faults).TrimEnd('.')}; vmshunt-host --help says what is possible");
            return 1;
        }
        return parsed.Invoke();
    }

    private static bool TryParsePollers(string text, out int pollers)
    {
        pollers = Math.Clamp(Environment.ProcessorCount / 2, 1, PollGroups.Most);
        return text == "auto" || (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out pollers) && pollers <= PollGroups.Most);
    }

    private static void Require(bool condition, System.CommandLine.Parsing.SymbolResult result, string message)
    {
        if (!condition) result.AddError(message);
    }
}
