using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Commands.Shunt;
using VmShunt.Guest.Firmware.Boot;
using VmShunt.Guest.Mode;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;

namespace VmShunt.Guest.Commands.Shell;

/// <summary>The whole command line of <c>vmshunt-guest</c>. The loader has acted on the machine's options already; here they are judged.</summary>
internal static class GuestCommandLine
{
    internal static int Invoke(BootParameters boot)
    {
        var hypervisor = new Option<string?>("--hypervisor") { HelpName = "SOCKET", Recursive = true, Description = "run as VM-C of the hypervisor that listens here" };
        var bus = new Option<string?>("--bus") { HelpName = "SOCKET", Recursive = true, Description = "no hypervisor: enlightened only, against any vhost-user-blk back-end" };
        var wait = new Option<double>("--wait") { HelpName = "SECONDS", Recursive = true, Description = "how long whoever listens there may take to come to be there, for all to be started at once; 0: it must be there" };
        var memory = new Option<string>("--memory") { HelpName = "SIZE", Recursive = true, DefaultValueFactory = _ => "64M", Description = "the guest's memory" };
        var processors = new Option<int>("--processors") { Recursive = true, DefaultValueFactory = _ => 1, Description = "virtual processors that applications run on, 1 to 40; the kernel has its own" };
        var mode = new Option<string>("--mode") { Recursive = true, DefaultValueFactory = _ => "auto", Description = "the mode to start in; auto is enlightened where a bus is offered, and whenever it is" };
        var queues = new Option<int>("--queues") { Recursive = true, DefaultValueFactory = _ => 1, Description = "request queues on the bus, 1 to 16" };
        var pollQueues = new Option<int>("--poll-queues") { Recursive = true, DefaultValueFactory = _ => 0, Description = "queues beside those for calls that poll, 0 to 16; the back-end may offer fewer" };
        var poll = new Option<WaitPolicy>("--poll") { Recursive = true, DefaultValueFactory = _ => WaitPolicy.Adaptive, Description = "how queue threads and calls that poll wait: adaptive, busy or never (spin)" };
        var ring = new Option<RingLayout>("--ring") { Recursive = true, DefaultValueFactory = _ => RingLayout.Auto, Description = "the layout of virtqueues: packed where offered (auto), split or packed" };
        var suppress = new Option<string>("--suppress") { Recursive = true, DefaultValueFactory = _ => "on", Description = "whether the shunt hides the emulated disk from applications while the enlightened stack is there: on or off" };
        var reverse = new Option<string?>("--reverse-shunt") { Recursive = true, HelpName = "TARGET", Description = "what the enlightened stack's shunt does: inert (nothing), emulating (divert to the emulating stack), or another disk's name, such as sdb" };
        var remove = new Option<bool>("--remove-emulating") { Recursive = true, Description = "take the emulating stack away once enlightened; no dump can be written then" };
        suppress.AcceptOnlyFromAmong("on", "off");
        var shunt = new ShuntArguments(recursive: true);
        var json = new Option<bool>("--json") { Recursive = true, Description = "answer with one line of JSON" };
        mode.AcceptOnlyFromAmong("auto", "emulating", "enlightened", "alternate");
        memory.Validators.Add(r => Require(ByteSize.TryParse(r.GetValue(memory)!, out var bytes) && bytes > 0, r, "--memory takes a size such as 64M"));
        wait.Validators.Add(r => Require(r.GetValue(wait) is >= 0 and <= 3600, r, "--wait takes 0 to 3600 seconds"));
        processors.Validators.Add(r => Require(r.GetValue(processors) is >= 1 and <= 40, r, "--processors takes 1 to 40"));
        queues.Validators.Add(r => Require(r.GetValue(queues) is >= 1 and <= 16, r, "--queues takes 1 to 16"));
        pollQueues.Validators.Add(r => Require(r.GetValue(pollQueues) is >= 0 and <= 16, r, "--poll-queues takes 0 to 16"));

        var root = new RootCommand("VM-C: a guest whose disk is reached through the trap (emulating stack) or the ring (enlightened stack)")
        {
            hypervisor, bus, wait, memory, processors, mode, queues, pollQueues, poll, ring, suppress, reverse, remove, json,
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
                parsed.GetValue(processors)),
            asJson: () => parsed!.GetValue(json));
        foreach (var command in CommandSet.Build(runner)) root.Add(command);
        root.Add(ConsoleCommand.Build(runner));

        parsed = root.Parse(boot.CommandLine);
        if (parsed.Action is ParseErrorAction) return Refuse(string.Join(' ', parsed.Errors.Select(error => error.Message)));
        if (parsed.Action is not HelpAction && boot.Machine is null == parsed.GetValue(bus) is null)
            return Refuse("name either a hypervisor to run on (--hypervisor SOCKET) or a back-end to use without one (--bus SOCKET)");
        return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
    }

    private static int Refuse(string what)
    {
        var words = what.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        Console.Error.WriteLine($"vmshunt-guest: {string.Join(' ', words).TrimEnd('.')}; vmshunt-guest --help says what is possible");
        return 1;
    }

    private static GuestMode? ModeOf(string text) => text == "auto" ? null : Enum.Parse<GuestMode>(text, ignoreCase: true);

    private static void Require(bool condition, System.CommandLine.Parsing.SymbolResult result, string message)
    {
        if (!condition) result.AddError(message);
    }
}
