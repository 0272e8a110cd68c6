using System.CommandLine;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Commands.Shunt;
using VmShunt.Guest.Firmware.Boot;
using VmShunt.Guest.Mode;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Terminal;
using static VmShunt.Terminal.OptionCheck;

namespace VmShunt.Guest.Commands.Shell;

/// <summary>The command line of <c>vmshunt-guest</c>. The loader has used the machine's options already; they are validated here.</summary>
internal static class GuestCommandLine
{
    internal static int Invoke(BootParameters boot)
    {
        var hypervisor = new Option<string?>("--hypervisor") { HelpName = "SOCKET", Recursive = true, Description = "the socket of the hypervisor to run on" };
        var bus = new Option<string?>("--bus") { HelpName = "SOCKET", Recursive = true, Description = "the socket of a vhost-user-blk back-end to use without a hypervisor; enlightened stack only" };
        var wait = new Option<double>("--wait") { HelpName = "SECONDS", Recursive = true, Description = "how long to wait for the server's socket, so that all processes can be started at once; 0: fail at once" };
        var memory = new Option<string>("--memory") { HelpName = "SIZE", Recursive = true, DefaultValueFactory = _ => "64M", Description = "the size of the guest's memory" };
        var processors = new Option<int>("--processors") { Recursive = true, DefaultValueFactory = _ => 1, Description = "virtual processors for applications, 1 to 40; the kernel has its own" };
        var mode = new Option<string>("--mode") { Recursive = true, DefaultValueFactory = _ => "auto", Description = "the initial mode; auto: enlightened as soon as the hypervisor offers the bus" };
        var queues = new Option<int>("--queues") { Recursive = true, DefaultValueFactory = _ => 1, Description = "request queues with a thread each, 1 to 16; the back-end may offer fewer" };
        var pollQueues = new Option<int>("--poll-queues") { Recursive = true, DefaultValueFactory = _ => 0, Description = "additional queues for polled calls, 0 to 16; the back-end may offer fewer" };
        var poll = new Option<WaitPolicy>("--poll") { Recursive = true, DefaultValueFactory = _ => WaitPolicy.Adaptive, Description = "the wait strategy of queue threads and polled calls: adaptive (spin, then block), busy (spin only) or never (block only)" };
        var ring = new Option<RingLayout>("--ring") { Recursive = true, DefaultValueFactory = _ => RingLayout.Auto, Description = "the virtqueue layout: auto (packed if offered), split or packed" };
        var suppress = new Option<string>("--suppress") { Recursive = true, DefaultValueFactory = _ => "on", Description = "whether the shunt hides the emulated disk from applications while the enlightened stack exists: on or off" };
        var reverse = new Option<string?>("--reverse-shunt") { Recursive = true, HelpName = "TARGET", Description = "the reverse shunt of the enlightened stack: inert (diverts nothing), emulating (diverts to the emulating stack), or the name of another disk to divert to, such as sdb" };
        var remove = new Option<bool>("--remove-emulating") { Recursive = true, Description = "remove the emulating stack once enlightened; no dump can be written then" };
        var overwrite = new Option<bool>("--overwrite-dump") { Recursive = true, Description = "let a crash overwrite a dump that was not exported yet; without it the earlier dump stays, and the crash writes none" };
        suppress.AcceptOnlyFromAmong("on", "off");
        var shunt = new ShuntArguments(recursive: true);
        var json = new Option<bool>("--json") { Recursive = true, Description = "answer with one line of JSON" };
        mode.AcceptOnlyFromAmong("auto", "emulating", "enlightened", "alternate");
        memory.Validators.Add(r => Require(ByteSize.TryParse(r.GetValue(memory)!, out var bytes) && bytes > 0, r, "--memory takes a size such as 64M"));
        wait.Validators.Add(r => Require(r.GetValue(wait) is >= 0 and <= 3600, r, "--wait takes 0 to 3600 seconds"));
        processors.Validators.Add(r => Require(r.GetValue(processors) is >= 1 and <= 40, r, "--processors takes 1 to 40"));
        queues.Validators.Add(r => Require(r.GetValue(queues) is >= 1 and <= 16, r, "--queues takes 1 to 16"));
        pollQueues.Validators.Add(r => Require(r.GetValue(pollQueues) is >= 0 and <= 16, r, "--poll-queues takes 0 to 16"));

        var root = new RootCommand("VM-C, the guest: accesses its disk over the trap path (emulating stack) or the ring path (enlightened stack)")
        {
            hypervisor, bus, wait, memory, processors, mode, queues, pollQueues, poll, ring, suppress, reverse, remove, overwrite, json,
        };
        shunt.AddTo(root);

        ParseResult? parsed = null;
        var runner = new OnceRunner(
            boot,
            () => new KernelOptions(
                ModeOf(parsed!.GetValue(mode)!),
                parsed.GetValue(bus),
                TimeSpan.FromSeconds(parsed.GetValue(wait)),
                ByteSize.TryParse(parsed.GetValue(memory)!, out var bytes) ? bytes : 0,
                new BusOptions(parsed.GetValue(queues), parsed.GetValue(poll), parsed.GetValue(ring), parsed.GetValue(pollQueues)),
                shunt.Read(parsed, ShuntOptions.Default),
                parsed.GetValue(suppress) == "on",
                parsed.GetValue(reverse),
                parsed.GetValue(remove),
                parsed.GetValue(processors),
                parsed.GetValue(overwrite)),
            asJson: () => parsed!.GetValue(json));
        foreach (var command in CommandSet.Build(runner)) root.Add(command);
        root.Add(ConsoleCommand.Build(runner));

        if (!CommandLineRun.TryParse("vmshunt-guest", root, boot.CommandLine, out parsed)) return CommandLineRun.Failed;
        // Help, version and completion need no machine.
        if (parsed.Action == parsed.CommandResult.Command.Action)
        {
            if (parsed.GetValue(hypervisor) is not null && parsed.GetValue(bus) is not null)
                return CommandLineRun.Reject("vmshunt-guest", "--hypervisor and --bus exclude each other: a guest runs on a hypervisor, or uses a back-end without one");
            if (boot.Machine is null == parsed.GetValue(bus) is null)
                return CommandLineRun.Reject("vmshunt-guest", "name either a hypervisor to run on (--hypervisor SOCKET) or a back-end to use without one (--bus SOCKET)");
        }
        return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
    }

    private static GuestMode? ModeOf(string text) => text == "auto" ? null : Enum.Parse<GuestMode>(text, ignoreCase: true);
}
