using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Launch;
using VmShunt.Trap.VmExit;

namespace VmShunt.Perf.Compare.Contestants;

/// <summary>A hypervisor of its own before a booted machine's VM-H, and one virtual processor of it that this process runs.</summary>
internal sealed class TrapHypervisor : IAsyncDisposable
{
    private readonly CompareSession _session;
    private readonly ChildProcess _process;
    private readonly string _socket;
    private GuestPartition? _partition;
    private HypervisorObserver? _observer;

    private TrapHypervisor(CompareSession session, ChildProcess process, string socket)
    {
        (_session, _process, _socket) = (session, process, socket);
        session.Guard.Watch(process.Id);
    }

    internal VirtualProcessor Processor { get; private set; } = null!;

    internal int ProcessId => _process.Id;

    /// <summary>Starts it.</summary>
    /// <param name="session">The run.</param>
    /// <param name="machine">The machine whose VM-H answers; not owned.</param>
    /// <param name="trapState">The value of <c>--trap-state</c>.</param>
    internal static async Task<TrapHypervisor> StartAsync(CompareSession session, BootedMachine machine, string trapState)
    {
        var socket = session.NewSocket();
        var process = ChildProcess.Start(
            "vmshunt-hypervisor", session.Own("vmshunt-hypervisor"),
            ["--socket", socket, "--device", ThreeProcesses.DeviceOf("disk0", machine.RegisterSocket), "--linger", "10", "--trap-state", trapState]);
        var hypervisor = new TrapHypervisor(session, process, socket);
        try
        {
            // Its ready line comes when the socket exists; before that it has checked VM-H.
            if (!await process.Output.WaitToReadAsync(session.Cancel)) throw new LaunchException($"{process.Name} exited: {string.Join("; ", process.LastOutput)}");
            hypervisor._partition = GuestPartition.Create(socket, 16 << 20, 1);
            hypervisor.Processor = hypervisor._partition.StartProcessor(0);
            hypervisor._observer = HypervisorObserver.Connect(socket);
            return hypervisor;
        }
        catch
        {
            await hypervisor.DisposeAsync();
            throw;
        }
    }

    /// <summary>The bytes exchanged with VM-H so far.</summary>
    internal long RegisterBytes => _observer!.Query().Partitions.Single().RegisterBytes;

    public async ValueTask DisposeAsync()
    {
        _observer?.Dispose();
        _partition?.Dispose();
        await _process.DisposeAsync();
        _session.Guard.Forget(_process.Id);
        File.Delete(_socket);
    }
}
