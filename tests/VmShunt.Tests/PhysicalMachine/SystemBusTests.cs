using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.PhysicalMachine;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.PhysicalMachine;

public sealed class SystemBusTests : IDisposable
{
    private const uint FirstBar = 0xF000_0000, SecondBar = 0xF000_1000;

    private readonly VirtualizationDriver _disk = new(new HostClassDriver(new RecordingPortDriver(), NullLogger.Instance), "SERIAL", 512);
    private readonly GuestMemory _memory;
    private readonly AhciCard[] _cards;
    private readonly SystemBus _bus;

    public SystemBusTests()
    {
        using var file = SharedMemoryFile.Create("test", 0x10000);
        using var region = MemoryRegion.Map(file, 0, 0x10000, 0);
        _memory = new GuestMemory(region);
        _cards = [new AhciCard(_disk, _memory, static _ => { }), new AhciCard(_disk, _memory, static _ => { })];
        _cards[0].Place(FirstBar);
        _cards[1].Place(SecondBar);
        _bus = new SystemBus(_cards);
    }

    public void Dispose()
    {
        foreach (var card in _cards) card.Dispose();
        _memory.Dispose();
        _disk.Dispose();
    }

    [Fact]
    public void Each_slot_has_its_own_configuration_space_and_registers()
    {
        Assert.Equal(FirstBar, _bus.Read(GuestLayout.ConfigurationAddress(0) + PciConfig.Bar5, 4));
        Assert.Equal(SecondBar, _bus.Read(GuestLayout.ConfigurationAddress(1) + PciConfig.Bar5, 4));
        Assert.Equal(HbaRegister.Version131, _bus.Read(SecondBar + HbaRegister.VS, 4));
        const ulong register = PortRegister.PxCLB + HbaRegister.Ports;
        _bus.Write(FirstBar + register, 4, 0x1000);
        _bus.Write(SecondBar + register, 4, 0x2000);
        Assert.Equal((0x1000ul, 0x2000ul), (_bus.Read(FirstBar + register, 4), _bus.Read(SecondBar + register, 4)));
    }

    [Fact]
    public void A_BAR_that_is_moved_moves_the_registers()
    {
        _bus.Write(GuestLayout.ConfigurationAddress(1) + PciConfig.Bar5, 4, 0xF100_0000);
        Assert.Equal(HbaRegister.Version131, _bus.Read(0xF100_0000 + HbaRegister.VS, 4));
        Assert.Equal(0xFFFF_FFFFul, _bus.Read(SecondBar + HbaRegister.VS, 4));
    }

    [Theory]
    [InlineData(1, 0xFFul)]
    [InlineData(2, 0xFFFFul)]
    [InlineData(4, 0xFFFF_FFFFul)]
    [InlineData(8, ulong.MaxValue)]
    public void An_address_without_a_device_reads_as_ones_and_ignores_writes(int size, ulong ones)
    {
        ulong[] addresses =
        [
            GuestLayout.EcamAddress, // the host bridge
            GuestLayout.ConfigurationAddress(0) + 0x1000, // function 1
            GuestLayout.ConfigurationAddress(2), // an empty slot
            GuestLayout.EcamAddress + GuestLayout.EcamBytes,
            FirstBar - 8, SecondBar + 0x1000, ulong.MaxValue - 7,
        ];
        foreach (var address in addresses)
        {
            _bus.Write(address, size, 0);
            Assert.Equal(ones, _bus.Read(address, size));
        }
    }

    [Fact]
    public void A_bus_access_allocates_nothing()
    {
        long before = 0;
        for (var i = 0; i < 3000; i++)
        {
            if (i == 1000) before = GC.GetAllocatedBytesForCurrentThread();
            _bus.Read(FirstBar + HbaRegister.CAP, 4);
            _bus.Write(SecondBar + HbaRegister.IS, 4, 0);
            _bus.Read(GuestLayout.ConfigurationAddress(0), 4);
            _bus.Read(0, 4);
        }
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}
