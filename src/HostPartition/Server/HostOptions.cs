using System.CommandLine;
using System.CommandLine.Invocation;
using System.Globalization;
using VmShunt.BlockBackend;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Serving;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.HostPartition;

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
    private static readonly HostDiskOptions s_disk = new();
    private static readonly BlockServerOptions s_server = new();

    /// <summary>How to open the disk.</summary>
    internal HostDiskOptions Open => new() { ReadOnly = ReadOnly, Cache = Cache, Engine = Engine, LogicalBlockSize = BlockBytes, Serial = Serial };

    /// <summary>How to serve it.</summary>
    internal BlockServerOptions Serve => new() { Queues = Queues, QueueSize = QueueSize, Wait = Poll, Pollers = Pollers, Primary = Primary, OnFull = OnFull };

    /// <summary>Parses the arguments and calls <paramref name="run"/>.</summary>
    /// <returns>The exit code.</returns>
    internal static int Invoke(string[] args, Func<HostOptions, int> run)
    {
        var disk = new Option<string>("--disk") { Required = true, HelpName = "SPEC", Description = "a raw image or block device, memory:SIZE, null:SIZE, or an NBD export (nbd://HOST/EXPORT, nbd+unix:///EXPORT?socket=PATH); SIGHUP re-reads its size" };
        var vhostUser = new Option<string?>("--vhost-user") { HelpName = "SOCKET", Description = "the Unix socket for virtio-blk over vhost-user (the ring path); SIGUSR1 closes it and its sessions, SIGUSR2 opens it again" };
        var vfioUser = new Option<string?>("--vfio-user") { HelpName = "SOCKET", Description = "the Unix socket for an emulated AHCI controller over vfio-user (the trap path)" };
        var readOnly = new Option<bool>("--read-only") { Description = "open the disk read-only; other processes may read it too, but not write to it" };
        var queues = new Option<int>("--queues") { DefaultValueFactory = _ => s_server.Queues, Description = "the number of request queues, 1 to 64; by default two per processor, so that queues remain for polled calls" };
        var queueSize = new Option<int>("--queue-size") { DefaultValueFactory = _ => s_server.QueueSize, Description = "the largest queue size, a power of two up to 32768" };
        var blockSize = new Option<int>("--block-size") { DefaultValueFactory = _ => s_disk.LogicalBlockSize, Description = "the disk's preferred block size: 512 or 4096" };
        var serial = new Option<string>("--serial") { DefaultValueFactory = _ => s_disk.Serial, HelpName = "TEXT", Description = "the serial number, up to 20 characters" };
        var cache = new Option<string>("--cache") { DefaultValueFactory = _ => "writeback", Description = "when a write is durable: writeback (at a flush), writethrough (when it completes), or direct (at a flush, bypassing the page cache)" };
        var engine = new Option<string>("--engine") { DefaultValueFactory = _ => "auto", Description = "how an image or block device is read and written: pread (one system call per request), mmap (reads are copied from the page cache), uring (io_uring, concurrent requests), or auto (by disk and cache mode)" };
        var onFull = new Option<string>("--on-full") { DefaultValueFactory = _ => "fail", Description = "what a write does when the host's disk is full: fail (it completes with an I/O error) or wait (for free space)" };
        cache.AcceptOnlyFromAmong("writeback", "writethrough", "direct");
        engine.AcceptOnlyFromAmong("auto", "pread", "mmap", "uring");
        onFull.AcceptOnlyFromAmong("fail", "wait");
        var poll = new Option<WaitPolicy>("--poll") { DefaultValueFactory = _ => s_server.Wait, Description = "how threads wait for requests: adaptive (spin, then block), busy (spin) or never (block)" };
        var pollers = new Option<string>("--pollers") { DefaultValueFactory = _ => "auto", HelpName = "N", Description = "threads that serve the rings of all guests, for disks that never block (memory:, null:): 0 to 64, 0 for one thread per ring, or auto (one per two processors)" };
        var primary = new Option<string>("--primary") { HelpName = "LIST", DefaultValueFactory = _ => "all", Description = "the request types that the ring carries out, of read,write,flush,discard,write-zeroes. Other request types complete with UNSUPP; a guest configured to send them is rejected at connect" };
        var linger = new Option<double?>("--linger") { HelpName = "SECONDS", Description = "exit this long after the last client disconnected" };
        queues.Validators.Add(r => Require(r.GetValue(queues) is >= 1 and <= 64, r, "--queues takes 1 to 64"));
        queueSize.Validators.Add(r => Require(SplitLayout.IsValidSize(r.GetValue(queueSize)), r, "--queue-size takes a power of two up to 32768"));
        blockSize.Validators.Add(r => Require(r.GetValue(blockSize) is 512 or 4096, r, "--block-size takes 512 or 4096"));
        serial.Validators.Add(r => Require(r.GetValue(serial) is { Length: >= 1 and <= 20 } text && text.All(char.IsAscii), r, "--serial takes 1 to 20 ASCII characters"));
        pollers.Validators.Add(r => Require(TryParsePollers(r.GetValue(pollers)!, out _), r, "--pollers takes 0 to 64, or auto"));
        primary.Validators.Add(r => Require(RequestTypeList.TryParse(r.GetValue(primary)!, out _), r, "--primary takes a list of read, write, flush, discard, write-zeroes with commas between them, or all"));
        linger.Validators.Add(r => Require(r.GetValue(linger) is > 0 and < 1e6, r, "--linger takes a positive number of seconds"));

        var root = new RootCommand("VM-H, the host partition: owns a disk and serves it to guests over the ring path (vhost-user) and the trap path (vfio-user)")
        {
            disk, vhostUser, vfioUser, readOnly, queues, queueSize, blockSize, serial, cache, engine, onFull, poll, pollers, linger, primary,
        };
        root.Validators.Add(r => Require(
            r.GetValue(vhostUser) is not null || r.GetValue(vfioUser) is not null,
            r,
            "name at least one socket for the disk: --vhost-user SOCKET, --vfio-user SOCKET, or both"));
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
            RequestTypeList.TryParse(r.GetValue(primary)!, out var types) ? types : RequestTypes.All)));
        var parsed = root.Parse(args);
        if (parsed.Action is ParseErrorAction)
        {
            var faults = string.Join(' ', parsed.Errors.Select(error => error.Message)).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            Console.Error.WriteLine($"vmshunt-host: {string.Join(' ', faults).TrimEnd('.')}; see vmshunt-host --help");
            return 1;
        }
        return parsed.Invoke();
    }

    private static bool TryParsePollers(string text, out int pollers)
    {
        pollers = s_server.Pollers;
        return text == "auto" || (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out pollers) && pollers <= PollGroups.Max);
    }

    private static void Require(bool condition, System.CommandLine.Parsing.SymbolResult result, string message)
    {
        if (!condition) result.AddError(message);
    }
}
