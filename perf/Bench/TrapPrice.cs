using BenchmarkDotNet.Attributes;
using VmShunt.Perf.Measure;
using VmShunt.Trap.Ahci;
using VmShunt.Trap.VmExit;

namespace VmShunt.Perf.Bench;

/// <summary>
/// The price of a trap, calibrated: an exit of a virtual machine of this kernel (KVM_EXIT_MMIO), beside the exits of our
/// hypervisor. A hypercall is answered by the hypervisor alone, a register read by VM-H.
/// </summary>
public class TrapPrice
{
    private const int Exits = 256;

    private KvmGuest _kvm = null!;
    private BenchMachine _machine = null!;
    private GuestPartition _partition = null!;
    private VirtualProcessor _processor = null!;

    /// <summary>Why a benchmark of this suite cannot run here, or null.</summary>
    internal static string? FindProblem(string benchmark, string device = KvmGuest.Device)
    {
        if (benchmark != nameof(KvmExit)) return null;
        using var guest = KvmGuest.TryCreate(device, out var reason);
        return guest is null ? reason : null;
    }

    [GlobalSetup(Target = nameof(KvmExit))]
    public void StartKvm() => _kvm = KvmGuest.TryCreate(KvmGuest.Device, out var reason) ?? throw new InvalidOperationException(reason);

    [GlobalSetup(Targets = [nameof(Hypercall), nameof(RegisterRead)])]
    public void StartMachine()
    {
        _machine = BenchMachine.Start(DiskPath.Trap);
        _partition = GuestPartition.Create(_machine.HypervisorSocket, 16 << 20, 1);
        _processor = _partition.StartProcessor(0);
    }

    [GlobalCleanup(Target = nameof(KvmExit))]
    public void StopKvm() => _kvm.Dispose();

    [GlobalCleanup(Targets = [nameof(Hypercall), nameof(RegisterRead)])]
    public void StopMachine()
    {
        _partition.Dispose();
        _machine.Dispose();
    }

    [Benchmark(OperationsPerInvoke = Exits)]
    public void KvmExit()
    {
        for (var i = 0; i < Exits; i++) _kvm.Exit();
    }

    [Benchmark(OperationsPerInvoke = Exits)]
    public void Hypercall()
    {
        for (var i = 0; i < Exits; i++) _processor.Invoke(Trap.VmExit.Hypercall.Identify);
    }

    [Benchmark(OperationsPerInvoke = Exits)]
    public void RegisterRead()
    {
        for (var i = 0; i < Exits; i++) _processor.ReadMmio(GuestLayout.BarAddress + HbaRegister.VS, 4);
    }
}
