using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.PhysicalMachine;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.PhysicalMachine;

public sealed class BoardTests : IDisposable
{
    private const ulong RamBytes = 4 << 20, Buffer = 0x20_0000, DriverMemory = 0x10_0000;
    private const int SectorBytes = 512;

    private readonly VirtualizationDriver _disk = new(new HostClassDriver(new RecordingPortDriver(), NullLogger.Instance), "SERIAL", 512);
    private readonly Board _board;

    public BoardTests() => _board = new Board(_disk, RamBytes);

    public void Dispose()
    {
        _board.Dispose();
        _board.Memory.Dispose();
        _board.MemoryFile.Dispose();
        _disk.Dispose();
    }

    [Fact]
    public void RAM_and_crash_reserve_are_mapped_where_the_kernel_expects_them()
    {
        Assert.Equal(GuestLayout.Parts(RamBytes), _board.Parts);
        Assert.Equal((RamBytes, GuestLayout.EcamAddress), (_board.RamBytes, _board.EcamAddress));
        Assert.True(_board.Memory.TryWrite(RamBytes - 8, 1ul));
        Assert.False(_board.Memory.TryWrite(RamBytes, 1ul));
        Assert.True(_board.Memory.TryWrite(_board.CrashReserveAddress, 2ul));
        Assert.True(_board.Memory.TryWrite(_board.CrashReserveAddress + (ulong)_board.CrashReserveBytes - 8, 3ul));
        Assert.False(_board.Memory.TryWrite(_board.CrashReserveAddress + (ulong)_board.CrashReserveBytes, 4ul));
    }

    [Fact]
    public void A_polled_driver_finds_the_controller_and_reads_back_what_it_wrote()
    {
        var processor = _board.StartProcessor(0);
        var hba = Assert.Single(AhciHba.FindAll(processor, _board.EcamAddress));
        Assert.Equal(GuestLayout.BarAddress, hba.Abar);
        var disk = new PolledAhciDisk(processor, hba, _board.Memory, DriverMemory, 0x10_0000);
        disk.Start();
        Assert.Equal(((1ul << 20) / SectorBytes, "SERIAL"), (disk.SectorCount, disk.Serial));
        _board.Memory.GetSpan(Buffer, SectorBytes).Fill(0x5A);
        disk.Write(7, Buffer, SectorBytes);
        disk.Flush();
        var sector = new byte[SectorBytes];
        disk.ReadSectors(7, sector);
        Assert.Equal(-1, sector.AsSpan().IndexOfAnyExcept((byte)0x5A));
    }

    [Fact]
    public void A_completion_wakes_a_halted_processor()
    {
        var processor = _board.StartProcessor(0);
        var registers = new AhciPortRegisters(processor, GuestLayout.BarAddress);
        var commands = new AhciCommandMemory(_board.Memory, DriverMemory, 1);
        registers.ResetHba();
        registers.StopPort();
        registers.StartPort(commands.CommandList, commands.ReceivedFis);
        registers.WritePort(PortRegister.PxIE, (uint)PortInterrupt.DHRS);
        registers.WritePort(PortRegister.PxIS, uint.MaxValue);
        registers.WriteHba(HbaRegister.IS, uint.MaxValue);
        registers.WriteHba(HbaRegister.GHC, (uint)(GlobalHostControl.AE | GlobalHostControl.IE));
        for (var i = 0; i < 3; i++)
        {
            commands.Fill(0, AtaCommand.ReadDmaExt, 0, 1, Buffer, SectorBytes, deviceReads: false);
            registers.WritePort(PortRegister.PxCI, 1);
            Assert.Equal(GuestLayout.FirstVector, processor.Halt());
            Assert.Equal(0u, registers.ReadPort(PortRegister.PxCI));
            registers.WritePort(PortRegister.PxIS, uint.MaxValue);
            registers.WriteHba(HbaRegister.IS, 1);
        }
    }

    [Fact]
    public void A_processor_keeps_address_and_value_of_its_last_access_in_its_registers()
    {
        var processor = _board.StartProcessor(3);
        var version = processor.Read(GuestLayout.BarAddress + HbaRegister.VS, 4);
        Assert.Equal((GuestLayout.BarAddress + HbaRegister.VS, version), (processor.State.Rdx, processor.State.Rax));
        processor.Write(0, 4, 9);
        Assert.Equal((0ul, 9ul), (processor.State.Rdx, processor.State.Rax));
    }

    [Fact]
    public void A_hypercall_is_an_invalid_opcode()
    {
        var processor = _board.StartProcessor(0);
        Assert.Throws<InvalidOpcodeException>(() => processor.Call(Hypercall.Identify));
        Assert.Throws<InvalidOpcodeException>(() => processor.Call(Hypercall.OpenBus, 0, out _));
    }

    [Fact]
    public void A_processor_starts_once_and_only_if_it_exists()
    {
        _board.StartProcessor(GuestLayout.MaxProcessors - 1);
        Assert.Throws<InvalidOperationException>(() => _board.StartProcessor(GuestLayout.MaxProcessors - 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => _board.StartProcessor(GuestLayout.MaxProcessors));
        Assert.Throws<ArgumentOutOfRangeException>(() => _board.StartProcessor(-1));
    }

    [Fact]
    public void After_power_off_no_command_moves_data()
    {
        var processor = _board.StartProcessor(0);
        var registers = new AhciPortRegisters(processor, GuestLayout.BarAddress);
        var commands = new AhciCommandMemory(_board.Memory, DriverMemory, 1);
        registers.ResetHba();
        registers.StopPort();
        registers.StartPort(commands.CommandList, commands.ReceivedFis);
        _board.Memory.GetSpan(Buffer, SectorBytes).Fill(0x77);
        _board.PowerOff();
        commands.Fill(0, AtaCommand.ReadDmaExt, 0, 1, Buffer, SectorBytes, deviceReads: false);
        registers.WritePort(PortRegister.PxCI, 1);
        Assert.Equal(-1, _board.Memory.GetSpan(Buffer, SectorBytes).IndexOfAnyExcept((byte)0x77));
        Assert.Equal(0u, commands.BytesMoved(0));
    }
}
