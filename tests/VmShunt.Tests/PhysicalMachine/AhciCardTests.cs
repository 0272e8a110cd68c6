using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.PhysicalMachine;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.PhysicalMachine;

public sealed class AhciCardTests : IDisposable
{
    private const uint Bar = 0xF000_0000;

    private readonly VirtualizationDriver _disk = new(new HostClassDriver(new RecordingPortDriver(), NullLogger.Instance), "SERIAL", 512);
    private readonly GuestMemory _memory;
    private readonly AhciCard _card;
    private readonly List<bool> _levels = [];

    public AhciCardTests()
    {
        using var file = SharedMemoryFile.Create("test", 0x10000);
        using var region = MemoryRegion.Map(file, 0, 0x10000, 0);
        _memory = new GuestMemory(region);
        _card = new AhciCard(_disk, _memory, level =>
        {
            lock (_levels) _levels.Add(level);
        });
    }

    public void Dispose()
    {
        _card.Dispose();
        _memory.Dispose();
        _disk.Dispose();
    }

    [Fact]
    public void Firmware_sets_BAR_5_memory_space_and_bus_master()
    {
        Assert.Equal(0u, Configuration(PciConfig.Command, 2));
        _card.Place(Bar);
        Assert.Equal(Bar, Configuration(PciConfig.Bar5, 4));
        Assert.Equal((uint)(PciCommand.MemorySpace | PciCommand.BusMaster), Configuration(PciConfig.Command, 2));
        Assert.Equal(PciConfig.AhciClassCode, Configuration(PciConfig.ClassCode, 3));
    }

    [Theory]
    [InlineData(Bar, 4, true, 0ul)]
    [InlineData(Bar + 0xFFC, 4, true, 0xFFCul)]
    [InlineData(Bar + 0xFF8, 8, true, 0xFF8ul)]
    [InlineData(Bar + 0xFFD, 4, false, 0xFFDul)]
    [InlineData(Bar + 0x1000, 1, false, 0x1000ul)]
    [InlineData(Bar - 4, 4, false, 0xFFFF_FFFF_FFFF_FFFCul)]
    [InlineData(Bar - 1, 4, false, 0xFFFF_FFFF_FFFF_FFFFul)]
    public void Registers_are_claimed_inside_BAR_5_only(uint address, int size, bool claimed, ulong expected)
    {
        _card.Place(Bar);
        Assert.Equal(claimed, _card.Claims(address, size, out var offset));
        Assert.Equal(expected, offset);
    }

    [Fact]
    public void Registers_are_claimed_only_with_memory_space_enabled_and_move_with_the_BAR()
    {
        Assert.False(_card.Claims(0, 4, out _));
        _card.Place(Bar);
        _card.WriteConfiguration(PciConfig.Command, [0, 0]);
        Assert.False(_card.Claims(Bar, 4, out _));
        _card.Place(0xE100_0000);
        Assert.False(_card.Claims(Bar, 4, out _));
        Assert.True(_card.Claims(0xE100_0000, 4, out _));
    }

    [Fact]
    public void The_size_of_BAR_5_is_read_by_writing_all_ones()
    {
        _card.WriteConfiguration(PciConfig.Bar5, [0xFF, 0xFF, 0xFF, 0xFF]);
        Assert.Equal(0xFFFF_F000u, Configuration(PciConfig.Bar5, 4));
    }

    [Fact]
    public void The_interrupt_line_follows_the_HBA_unless_INTx_is_disabled()
    {
        _card.Place(Bar);
        Assert.Equal([true, false], RaiseAndAcknowledge());
        _card.WriteConfiguration(PciConfig.Command, [0x06, 0x04]);
        Assert.Equal([false, false], RaiseAndAcknowledge());
    }

    // A COMRESET sets PxSERR.DIAG.X, which PxIS.PCS reports (AHCI 1.3.1 §3.3.5).
    private bool[] RaiseAndAcknowledge()
    {
        lock (_levels) _levels.Clear();
        Write(HbaRegister.GHC, (uint)(GlobalHostControl.AE | GlobalHostControl.IE));
        Write(HbaRegister.OfPort(0, PortRegister.PxIE), (uint)PortInterrupt.PCS);
        Write(HbaRegister.OfPort(0, PortRegister.PxSCTL), SataLink.DETReset);
        Write(HbaRegister.OfPort(0, PortRegister.PxSCTL), 0);
        Write(HbaRegister.OfPort(0, PortRegister.PxSERR), uint.MaxValue);
        Write(HbaRegister.IS, 1);
        lock (_levels) return [.. _levels];
    }

    private void Write(int register, uint value) => _card.WriteRegister((ulong)register, BitConverter.GetBytes(value));

    private uint Configuration(int offset, int size)
    {
        var bytes = new byte[4];
        _card.ReadConfiguration((ulong)offset, bytes.AsSpan(0, size));
        return BitConverter.ToUInt32(bytes);
    }
}
