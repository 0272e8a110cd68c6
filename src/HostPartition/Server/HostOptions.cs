using System.CommandLine;
using System.Globalization;
using System.Numerics;
using VmShunt.BlockBackend;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Serving;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;
using VmShunt.Sandbox;
using VmShunt.Terminal;
using static VmShunt.Terminal.OptionCheck;

namespace VmShunt.HostPartition;

/// <summary>The command line of <c>vmshunt-host</c>.</summary>
internal sealed record HostOptions(
    string Disk,
    string? VhostUser,
    string? VfioUser,
    bool ReadOnly,
    bool IsRaw,
    bool IsIncoming,
    bool IsMigratable,
    int Queues,
    int QueueSize,
    int MaxSegments,
    int LogicalBlockSize,
    int PhysicalBlockSize,
    string Serial,
    CacheMode Cache,
    DiskEngine Engine,
    NoSpacePolicy OnFull,
    WaitPolicy Poll,
    int Pollers,
    TimeSpan? Linger,
    RequestTypes Primary,
    string? PidFile,
    TransitionMode Transition,
    bool PairsSockets,
    long ProbeLimit,
    LogOptions Log,
    SandboxOptions Sandbox)
{
    private const string PrintCapabilities = "--print-capabilities";

    private static readonly HostDiskOptions s_disk = new();
    private static readonly BlockServerOptions s_server = new();

    /// <summary>How to open the disk.</summary>
    internal HostDiskOptions Open => new() { ReadOnly = ReadOnly, IsRaw = IsRaw, IsIncoming = IsIncoming, Cache = Cache, Engine = Engine, LogicalBlockSize = LogicalBlockSize, PhysicalBlockSize = PhysicalBlockSize, Serial = Serial };

    /// <summary>How to serve it.</summary>
    internal BlockServerOptions Serve => new() { Queues = Queues, QueueSize = QueueSize, MaxSegments = MaxSegments, IsMigratable = VfioUser is null || IsMigratable, Wait = Poll, Pollers = Pollers, Primary = Primary, OnFull = OnFull, Transition = Transition, PairsSockets = PairsSockets, ProbeLimit = ProbeLimit };

    /// <summary>Parses the arguments and calls <paramref name="run"/>.</summary>
    /// <returns>The exit code.</returns>
    internal static int Invoke(string[] args, Func<HostOptions, int> run)
    {
        // "Other options and arguments should be ignored" (QEMU, "Backend program conventions").
        if (args.Contains(PrintCapabilities))
        {
            OutputLine.Write("""{"type":"block","features":["read-only","blk-file"]}""");
            return 0;
        }
        var disk = new Option<string>("--disk", "--blk-file") { Required = true, HelpName = "SPEC", Description = "a raw image or block device, memory:SIZE, null:SIZE, or an NBD export (nbd://HOST/EXPORT, nbd+unix:///EXPORT?socket=PATH); SIGHUP re-reads its size" };
        var vhostUser = new Option<string?>("--vhost-user", "--socket-path") { HelpName = "SOCKET", Description = "the Unix socket for virtio-blk over vhost-user (the ring path): a path to listen on, connect:PATH where QEMU listens (server=on; retried), fd:N, a listening or connected socket that this process was started with, or fd:NAME, one that systemd passes by that name (LISTEN_FDNAMES). SIGUSR1 closes it and its sessions, SIGUSR2 opens it again" };
        var descriptor = new Option<string?>("--fd") { HelpName = "N", Description = "the same as --vhost-user fd:N (vhost-user's conventions for back-end programs)" };
        var capabilities = new Option<bool>(PrintCapabilities) { Description = "print what this program can do as JSON, as management layers ask for it, and exit" };
        var pidFile = new Option<string?>("--pid-file") { HelpName = "PATH", Description = "write this process's id to a file, and remove it at the end" };
        var vfioUser = new Option<string?>("--vfio-user") { HelpName = "SOCKET", Description = "the Unix socket for an emulated AHCI controller over vfio-user (the trap path): a path, connect:PATH, fd:N or fd:NAME" };
        var readOnly = new Option<bool>("--read-only") { Description = "open the disk read-only; other processes may read it too, but not write to it" };
        var format = new Option<string>("--format") { DefaultValueFactory = _ => "auto", Description = "auto (a file that is a qcow2, VMDK, VHD or VHDX image is refused, with the line that serves it) or raw (its content is not looked at)" };
        format.AcceptOnlyFromAmong("auto", "raw");
        var incoming = new Option<bool>("--incoming") { Description = "another VM-H serves the disk until its guest has migrated to this one: lock the image when the guest's first ring starts, and let requests wait until the other has released it" };
        var migratable = new Option<bool>("--migratable") { Description = "offer live migration although the disk has both sockets: QEMU does not migrate a guest that has the emulated disk, so use this for guests that have the ring alone" };
        var queues = new Option<int>("--queues") { DefaultValueFactory = _ => s_server.Queues, Description = "the number of request queues, 1 to 64; by default two per processor, so that queues remain for polled calls" };
        var queueSize = new Option<int>("--queue-size") { DefaultValueFactory = _ => s_server.QueueSize, Description = "the largest queue size, a power of two up to 32768" };
        var segMax = new Option<int>("--seg-max") { DefaultValueFactory = _ => s_server.MaxSegments, HelpName = "N", Description = "the most data segments of a request on the ring path, 1 to 510. A guest without indirect descriptors hangs if its rings have fewer than N + 2 entries: the default fits QEMU's rings of 128" };
        var logical = new Option<int>("--logical-block-size") { DefaultValueFactory = _ => s_disk.LogicalBlockSize, HelpName = "BYTES", Description = "the unit of a guest's requests on both paths: 512, or 4096 (AHCI: 4Kn; firmware often cannot boot from it)" };
        var physical = new Option<int>("--physical-block-size") { DefaultValueFactory = _ => s_disk.PhysicalBlockSize, HelpName = "BYTES", Description = "the size to which guests align their requests on both paths: a power of two from the logical block size to 65536" };
        var blockSize = new Option<string?>("--block-size") { Hidden = true };
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
        var transition = new Option<string>("--transition") { DefaultValueFactory = _ => "never", HelpName = "auto|never", Description = "what becomes of the emulated disk of a guest that has both paths (QEMU 10.0 and later): auto (it goes when the guest's driver starts on the ring, and comes back when that driver ends, at a reboot, and for a crash kernel; at most one path writes) or never (it stays). docs/transition.md" };
        var pair = new Option<string?>("--pair") { HelpName = "sockets", Description = "with --transition auto: both sockets belong to one guest, and a second session on either is refused. By default two sessions are one guest's if they are the only ones of their process" };
        var probeLimit = new Option<string>("--probe-limit") { HelpName = "SIZE", DefaultValueFactory = _ => ByteSize.Format(s_server.ProbeLimit), Description = "with --transition auto: the most that a driver reads which only probes the emulated disk; the disk of one that has read more stays when the ring's driver starts. By default twice what Linux, udev and blkid read of a disk of four partitions" };
        transition.Validators.Add(r => Require(r.GetValue(transition) is "auto" or "never", r, "--transition takes auto or never"));
        pair.Validators.Add(r => Require(r.GetValue(pair) is null or "sockets", r, "--pair takes sockets"));
        probeLimit.Validators.Add(r => Require(ByteSize.TryParse(r.GetValue(probeLimit)!, out _), r, "--probe-limit takes a size, such as 9M"));
        queues.Validators.Add(r => Require(r.GetValue(queues) is >= 1 and <= 64, r, "--queues takes 1 to 64"));
        queueSize.Validators.Add(r => Require(SplitLayout.IsValidSize(r.GetValue(queueSize)), r, "--queue-size takes a power of two up to 32768"));
        segMax.Validators.Add(r => Require(r.GetValue(segMax) is >= 1 and <= 510, r, "--seg-max takes 1 to 510"));
        logical.Validators.Add(r => Require(r.GetValue(logical) is 512 or 4096, r, "--logical-block-size takes 512 or 4096"));
        physical.Validators.Add(r => Require(r.GetValue(physical) is >= 512 and <= 65536 and var bytes && BitOperations.IsPow2(bytes), r, "--physical-block-size takes a power of two from 512 to 65536"));
        descriptor.Validators.Add(r => Require(r.GetValue(descriptor) is not { } number || (number.Length > 0 && number.All(char.IsAsciiDigit)), r, "--fd takes the number of a descriptor"));
        blockSize.Validators.Add(r => Require(r.GetValue(blockSize) is null, r, "--block-size is no option any more: use --logical-block-size 512|4096 and --physical-block-size BYTES, which both paths have"));
        serial.Validators.Add(r => Require(r.GetValue(serial) is { Length: >= 1 and <= 20 } text && text.All(char.IsAscii), r, "--serial takes 1 to 20 ASCII characters"));
        pollers.Validators.Add(r => Require(TryParsePollers(r.GetValue(pollers)!, out _), r, "--pollers takes 0 to 64, or auto"));
        primary.Validators.Add(r => Require(RequestTypeList.TryParse(r.GetValue(primary)!, out _), r, "--primary takes a list of read, write, flush, discard, write-zeroes with commas between them, or all"));
        linger.Validators.Add(r => Require(r.GetValue(linger) is > 0 and < 1e6, r, "--linger takes a positive number of seconds"));

        var root = new RootCommand("VM-H, the host partition: owns a disk and serves it to guests over the ring path (vhost-user) and the trap path (vfio-user)")
        {
            disk, vhostUser, vfioUser, descriptor, readOnly, format, incoming, migratable, queues, queueSize, segMax, logical, physical, blockSize, serial, cache, engine, onFull, poll, pollers, linger, primary, transition, pair, probeLimit, pidFile, capabilities,
        };
        var log = LogOptions.AddTo(root);
        var sandbox = SandboxOptions.AddTo(root);
        root.Validators.Add(r => Require(r.GetValue(vhostUser) is null || r.GetValue(descriptor) is null, r, "--fd N is --vhost-user fd:N: give one of the two"));
        root.Validators.Add(r => Require(
            r.GetValue(vhostUser) is not null || r.GetValue(vfioUser) is not null || r.GetValue(descriptor) is not null,
            r,
            "name at least one socket for the disk: --vhost-user SOCKET, --vfio-user SOCKET, or both"));
        root.Validators.Add(r => Require(
            r.GetValue(transition) != "auto" || (r.GetValue(vfioUser) is not null && (r.GetValue(vhostUser) ?? r.GetValue(descriptor)) is not null),
            r,
            "--transition auto needs both sockets: --vhost-user SOCKET and --vfio-user SOCKET"));
        root.Validators.Add(r => Require(r.GetValue(pair) is null || r.GetValue(transition) == "auto", r, "--pair sockets is for --transition auto"));
        // Values that no block size has are refused above, by their own option.
        root.Validators.Add(r => Require(
            r.GetValue(logical) is not 4096 || r.GetValue(physical) is not (512 or 1024 or 2048), r, "--physical-block-size takes a power of two from --logical-block-size to 65536"));
        root.SetAction(r => run(new HostOptions(
            r.GetValue(disk)!,
            r.GetValue(descriptor) is { } number ? $"fd:{number}" : r.GetValue(vhostUser),
            r.GetValue(vfioUser),
            r.GetValue(readOnly),
            r.GetValue(format) == "raw",
            r.GetValue(incoming),
            r.GetValue(migratable),
            r.GetValue(queues),
            r.GetValue(queueSize),
            r.GetValue(segMax),
            r.GetValue(logical),
            r.GetValue(physical),
            r.GetValue(serial)!,
            Enum.Parse<CacheMode>(r.GetValue(cache)!, ignoreCase: true),
            Enum.Parse<DiskEngine>(r.GetValue(engine)!, ignoreCase: true),
            Enum.Parse<NoSpacePolicy>(r.GetValue(onFull)!, ignoreCase: true),
            r.GetValue(poll),
            TryParsePollers(r.GetValue(pollers)!, out var threads) ? threads : 0,
            r.GetValue(linger) is { } seconds ? TimeSpan.FromSeconds(seconds) : null,
            RequestTypeList.TryParse(r.GetValue(primary)!, out var types) ? types : RequestTypes.All,
            r.GetValue(pidFile),
            Enum.Parse<TransitionMode>(r.GetValue(transition)!, ignoreCase: true),
            r.GetValue(pair) is not null,
            ByteSize.TryParse(r.GetValue(probeLimit)!, out var most) ? most : s_server.ProbeLimit,
            log(r),
            sandbox(r))));
        return CommandLineRun.Invoke("vmshunt-host", root, args);
    }

    private static bool TryParsePollers(string text, out int pollers)
    {
        pollers = s_server.Pollers;
        return text == "auto" || (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out pollers) && pollers <= PollGroups.Max);
    }
}
