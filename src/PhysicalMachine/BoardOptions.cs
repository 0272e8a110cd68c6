using System.CommandLine;
using VmShunt.Ring.Memory;
using VmShunt.Terminal;
using static VmShunt.Terminal.OptionCheck;

namespace VmShunt.PhysicalMachine;

/// <summary>The command line of <c>vmshunt-machine</c>: the machine's parts. The remaining arguments go to the kernel.</summary>
internal sealed record BoardOptions(string Disk, bool ReadOnly, string Serial, ulong MemoryBytes, LogOptions Log, string[] Command)
{
    private const int PageBytes = 4096;

    /// <summary>Parses the arguments and runs <paramref name="run"/> with them.</summary>
    /// <returns>The exit code.</returns>
    internal static int Invoke(string[] args, Func<BoardOptions, int> run)
    {
        var disk = new Option<string>("--disk") { Required = true, HelpName = "SPEC", Description = "the disk on the AHCI controller, as for vmshunt-host --disk" };
        var readOnly = new Option<bool>("--read-only") { Description = "open the disk for reading only" };
        var serial = new Option<string>("--serial") { DefaultValueFactory = _ => "VMSHUNT0", HelpName = "TEXT", Description = "the disk's serial number, up to 20 characters" };
        var memory = new Option<string>("--memory") { DefaultValueFactory = _ => "64M", HelpName = "SIZE", Description = "the machine's memory" };
        serial.Validators.Add(r => Require(r.GetValue(serial) is { Length: >= 1 and <= 20 } text && text.All(char.IsAscii), r, "--serial takes 1 to 20 ASCII characters"));
        memory.Validators.Add(r => Require(
            ByteSize.TryParse(r.GetValue(memory)!, out var bytes) && bytes > 0 && bytes % PageBytes == 0, r, "--memory takes a size such as 64M, a multiple of 4096 bytes"));

        var root = new RootCommand(
            "A physical machine: boots a disk of VM-C (the guest) without a hypervisor, on an AHCI controller that it accesses directly. "
            + "The arguments after the options are a command of the kernel, as for vmshunt-guest: info, hash, read, write, load, crash, console and so on")
        {
            disk, readOnly, serial, memory,
        };
        root.TreatUnmatchedTokensAsErrors = false;
        var log = LogOptions.AddTo(root);
        root.SetAction(r => run(new BoardOptions(
            r.GetValue(disk)!,
            r.GetValue(readOnly),
            r.GetValue(serial)!,
            ByteSize.TryParse(r.GetValue(memory)!, out var bytes) ? (ulong)bytes : 0,
            log(r),
            [.. r.UnmatchedTokens])));
        root.Validators.Add(r => Require(
            !args.Any(static token => token.Split('=')[0] is "--hypervisor" or "--bus"), r, "a physical machine has neither a hypervisor (--hypervisor) nor a bus to a host (--bus)"));
        return CommandLineRun.Invoke("vmshunt-machine", root, args);
    }
}
