using System.CommandLine;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest;
using VmShunt.Guest.Commands;
using VmShunt.Guest.Commands.Shell;
using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Guest.Firmware.Boot;
using VmShunt.Guest.Mode;
using VmShunt.PhysicalMachine;
using VmShunt.Ring.Notification;
using GuestKernel = VmShunt.Guest.Kernel;

namespace VmShunt.Tests.Guest.Kernel;

/// <summary>The guest's kernel in this process, which runs commands as its console does.</summary>
internal sealed class RunningKernel : IDisposable
{
    internal const int MemoryBytes = 16 << 20;

    private readonly CommandSession _session;
    private readonly IDisposable[] _owned;

    private RunningKernel(BootParameters boot, GuestMode? mode, string? bus, int queues, params IDisposable[] owned)
    {
        _owned = owned;
        _session = new CommandSession(GuestKernel.Start(boot, new KernelOptions(
            mode, bus, Wait: TimeSpan.Zero, MemoryBytes, new BusOptions(1, WaitPolicy.Adaptive, RingLayout.Auto, pollQueues: queues - 1),
            ShuntOptions.Default, Suppresses: true, ReverseShunt: null, RemovesEmulating: false, Processors: 1, OverwritesDump: false)));
    }

    internal GuestKernel Kernel => _session.Kernel;

    internal CommandSession Session => _session;

    /// <summary>A kernel on a machine without a hypervisor: an AHCI disk, and no bus.</summary>
    internal static RunningKernel OnBoard(PortDriver port)
    {
        var disk = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance), "BOARD", 512);
        var board = new Board(disk, MemoryBytes);
        var processor = board.StartProcessor(0);
        var hba = Assert.Single(AhciHba.FindAll(processor, board.EcamAddress));
        return new RunningKernel(new BootParameters(BootSource.Direct, [], board, processor, hba), GuestMode.Emulating, bus: null, queues: 1, board, disk);
    }

    /// <summary>A kernel that has only the bus, to a back-end that listens on a socket.</summary>
    internal static RunningKernel OverBus(string socket, int queues = 1) =>
        new(new BootParameters(BootSource.Direct, [], null, null, null), mode: null, socket, queues);

    /// <summary>Runs a command.</summary>
    /// <returns>Its answer, as parsed from its text; an error is thrown.</returns>
    internal JsonObject Run(string line)
    {
        var runner = new Runner(_session);
        var parsed = Commands(runner).Parse(line);
        Assert.Empty(parsed.Errors.Select(static error => error.Message));
        // A command blocks its thread, and the test's context would run the command's continuations on that thread.
        var context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
            parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(context);
        }
        return JsonNode.Parse(runner.Answer!.ToJsonString())!.AsObject();
    }

    /// <summary>The errors of a command line that cannot be parsed.</summary>
    internal string ErrorsOf(string line) => string.Join('\n', Commands(new Runner(_session)).Parse(line).Errors.Select(static error => error.Message));

    public void Dispose()
    {
        _session.Dispose();
        foreach (var owned in _owned) owned.Dispose();
    }

    private static RootCommand Commands(Runner runner)
    {
        var root = new RootCommand();
        foreach (var command in CommandSet.Build(runner)) root.Add(command);
        return root;
    }

    private sealed class Runner(CommandSession session) : ICommandRunner
    {
        internal JsonObject? Answer { get; private set; }

        public bool AnswersAsJson => true;

        public int Run(string name, Func<CommandSession, JsonObject> action)
        {
            Answer = session.Watch(action);
            return 0;
        }
    }
}
