using System.Diagnostics;
using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Perf.Launch;
using VmShunt.Tests.Trap.VfioUser;
using VmShunt.Trap.Ahci;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.Hypervisor;

/// <summary>The whole trap path, in both forms: a guest's driver, the real hypervisor, the real VM-H (host server), a disk image.</summary>
public sealed class TrapToDiskTests : IDisposable
{
    private const int SectorBytes = 512, Sectors = 4096;

    private readonly string _image = RunningHypervisor.NewSocket(), _vfio = RunningHypervisor.NewSocket(), _socket = RunningHypervisor.NewSocket();
    private readonly byte[] _content = new byte[Sectors * SectorBytes];
    private readonly Process _host;
    private RunningHypervisor _hypervisor = null!;

    public TrapToDiskTests()
    {
        new Random(4711).NextBytes(_content);
        File.WriteAllBytes(_image, _content);
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "vmshunt-host"), ["--disk", _image, "--vfio-user", _vfio])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        _host = Process.Start(start)!;
        Eventually.True(() => UnixSocket.IsListening(_vfio), "VM-H listens");
    }

    private void Start(string trapState) => _hypervisor = RunningHypervisor.Ready(_socket, $"disk0,vfio-user={_vfio}", "--trap-state", trapState);

    public void Dispose()
    {
        _hypervisor.Dispose();
        _host.Kill();
        _host.WaitForExit();
        _host.Dispose();
        File.Delete(_image);
        File.Delete(_vfio);
    }

    [Theory]
    [InlineData("access")]
    [InlineData("full")]
    public void A_polled_driver_reads_and_writes_the_disk_through_traps_alone(string trapState)
    {
        Start(trapState);
        using var partition = GuestPartition.Create(_socket, 4 << 20, 1);
        using var processor = partition.StartProcessor(0);
        var mmio = new TrappingProcessor(processor);
        var hba = Assert.Single(AhciHba.FindAll(mmio, partition.EcamAddress));
        Assert.Equal(new AhciHba(1, GuestLayout.BarAddress), hba);
        var disk = new PolledAhciDisk(mmio, hba, partition.Memory, 0x10_0000, 0x10_0000);
        disk.Start();
        Assert.Equal((ulong)Sectors, disk.SectorCount);
        var got = new byte[_content.Length];
        disk.ReadSectors(0, got);
        Assert.True(got.AsSpan().SequenceEqual(_content));

        partition.Memory.GetSpan(0x5000, SectorBytes).Fill(0x5A);
        disk.Write(7, 0x5000, SectorBytes);
        disk.Flush();
        Assert.All(File.ReadAllBytes(_image).AsSpan(7 * SectorBytes, SectorBytes).ToArray(), b => Assert.Equal(0x5A, b));
        Assert.Throws<IOException>(() => disk.Read(Sectors, 0x5000, SectorBytes));
    }

    [Theory]
    [InlineData("access")]
    [InlineData("full")]
    public void After_a_crash_the_dump_path_writes_the_memory_as_it_was_at_the_crash(string trapState)
    {
        Start(trapState);
        using var partition = GuestPartition.Create(_socket, 4 << 20, 1);
        using var processor = partition.StartProcessor(0);
        var mmio = new TrappingProcessor(processor);
        partition.Memory.GetSpan(0x5000, SectorBytes).Fill(0xDD);
        Assert.Equal(HypercallStatus.Success, processor.Invoke(Hypercall.Crash, 1));
        // A write to the old memory does not reach the dump memory.
        partition.Memory.GetSpan(0x5000, SectorBytes).Fill(0xEE);
        var disk = new PolledAhciDisk(mmio, AhciHba.FindAll(mmio, partition.EcamAddress).Single(), partition.Memory, partition.CrashReserveAddress, partition.CrashReserveBytes);
        disk.Start();
        disk.Write(9, 0x5000, SectorBytes);
        disk.Flush();
        Assert.Equal(0xDD, File.ReadAllBytes(_image)[9 * SectorBytes]);
    }

    [Theory]
    [InlineData("access")]
    [InlineData("full")]
    public void No_interrupt_is_lost_when_completions_race_with_the_interrupt_handler(string trapState)
    {
        Start(trapState);
        const int slots = 8, rounds = 300;
        using var partition = GuestPartition.Create(_socket, 4 << 20, 1);
        using var processor = partition.StartProcessor(0);
        var registers = new AhciPortRegisters(new TrappingProcessor(processor), GuestLayout.BarAddress);
        var commands = new AhciCommandMemory(partition.Memory, 0x10_0000, slots);
        registers.ResetHba();
        registers.StopPort();
        registers.StartPort(commands.CommandList, commands.ReceivedFis);
        registers.WritePort(PortRegister.PxIE, (uint)PortInterrupt.All);
        registers.WriteHba(HbaRegister.IS, uint.MaxValue);
        registers.WriteHba(HbaRegister.GHC, (uint)(GlobalHostControl.AE | GlobalHostControl.IE));

        var round = 0;
        var driver = new Thread(() =>
        {
            for (; round < rounds; round++)
            {
                for (var slot = 0; slot < slots; slot++)
                {
                    commands.Fill(slot, AtaCommand.ReadDmaExt, (ulong)(round + slot), 1, 0x20_0000 + (ulong)slot * 4096, SectorBytes, deviceReads: false);
                    registers.WritePort(PortRegister.PxCI, 1u << slot);
                }
                while (registers.ReadPort(PortRegister.PxCI) != 0)
                {
                    Assert.Equal(GuestLayout.FirstVector, processor.Halt());
                    if (registers.ReadHba(HbaRegister.IS) == 0) continue;
                    registers.WritePort(PortRegister.PxIS, registers.ReadPort(PortRegister.PxIS));
                    registers.WriteHba(HbaRegister.IS, 1);
                }
            }
        });
        driver.Start();
        Assert.True(driver.Join(120_000), $"an interrupt was lost in round {round}");
        for (var slot = 0; slot < slots; slot++)
            Assert.True(partition.Memory.GetSpan(0x20_0000 + (ulong)slot * 4096, SectorBytes).SequenceEqual(_content.AsSpan((rounds - 1 + slot) * SectorBytes, SectorBytes)));
    }

    [Theory]
    [InlineData("access")]
    [InlineData("full")]
    public void Killing_VM_H_ends_guest_and_hypervisor_with_an_error_message(string trapState)
    {
        Start(trapState);
        using var partition = GuestPartition.Create(_socket, 4 << 20, 1);
        using var processor = partition.StartProcessor(0);
        _host.Kill();
        void ReadForEver()
        {
            while (true) processor.ReadMmio(GuestLayout.BarAddress, 4);
        }
        var error = Record.Exception(ReadForEver);
        Assert.True(error is MachineCheckException or HypervisorLostException, error?.ToString());
        Assert.Equal(1, _hypervisor.WaitForExit());
        Assert.Contains("device disk0: VM-H closed the connection", _hypervisor.Errors, StringComparison.Ordinal);
    }
}
