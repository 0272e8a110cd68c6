using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Trap.VfioUser;

namespace VmShunt.Tests.Trap.VfioUser;

public sealed class ClientAndServerTests : IDisposable
{
    private readonly ServedDevices _served = new();

    public void Dispose() => _served.Dispose();

    [Fact]
    public void The_client_reads_device_region_and_interrupt_info()
    {
        using var client = VfioUserClient.Connect(_served.Path);
        Assert.Equal(new VfioDeviceInfo(IsPci: true, CanReset: true, RegionCount: 9, IrqCount: 5), client.GetInfo());
        Assert.Equal(new VfioRegionInfo(VfioRegionFlags.Read | VfioRegionFlags.Write, RegisterDevice.BarBytes), client.GetRegionInfo(5));
        Assert.Equal(default, client.GetRegionInfo(0));
        Assert.Equal(1u, client.GetIrqInfo(VfioPciIrq.Msi).Count);
        Assert.Equal(22, Assert.Throws<VfioUserException>(() => client.GetRegionInfo(9)).Errno);
        Assert.Equal(22, Assert.Throws<VfioUserException>(() => client.GetIrqInfo(-1)).Errno);
    }

    [Fact]
    public void Region_accesses_match_a_model()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        using var client = VfioUserClient.Connect(_served.Path);
        var model = new byte[RegisterDevice.ConfigurationBytes];
        var got = new byte[model.Length];
        for (var i = 0; i < 3000; i++)
        {
            var offset = random.Next(-8, model.Length + 8);
            var length = random.Next(0, 40);
            var inside = offset >= 0 && length > 0 && offset + length <= model.Length;
            var data = new byte[length];
            random.NextBytes(data);
            var error = Record.Exception(() =>
            {
                switch (random.Next(3))
                {
                    case 0:
                        client.WriteRegion(VfioPciRegion.Configuration, (ulong)offset, data);
                        data.CopyTo(model, offset);
                        break;
                    case 1:
                        client.PostRegion(VfioPciRegion.Configuration, (ulong)offset, data);
                        if (inside) data.CopyTo(model, offset);
                        break;
                    default:
                        client.ReadRegion(VfioPciRegion.Configuration, (ulong)offset, got.AsSpan(0, length));
                        Assert.True(model.AsSpan(offset, length).SequenceEqual(got.AsSpan(0, length)), $"seed {seed}, step {i}");
                        break;
                }
            });
            Assert.True(error is null || (!inside && error is VfioUserException), $"seed {seed}, step {i}: {error}");
        }
    }

    [Fact]
    public void A_refused_access_does_not_affect_later_ones()
    {
        using var client = VfioUserClient.Connect(_served.Path);
        Assert.Equal(5, Assert.Throws<VfioUserException>(() => client.WriteRegion(5, RegisterDevice.RefusedRegister, [1])).Errno);
        Assert.Equal(22, Assert.Throws<VfioUserException>(() => client.ReadRegion(0, 0, new byte[1])).Errno);
        Assert.Equal(22, Assert.Throws<VfioUserException>(() => client.ReadRegion(5, ulong.MaxValue, new byte[8])).Errno);
        client.WriteRegion(5, 0, [42]);
        var value = new byte[1];
        client.ReadRegion(5, 0, value);
        Assert.Equal(42, value[0]);
    }

    [Fact]
    public void Mapped_memory_is_shared_until_it_is_unmapped()
    {
        using var file = SharedMemoryFile.Create("test", 0x4000);
        using var mine = MemoryRegion.Map(file, 0, 0x4000, 0);
        using var memory = new GuestMemory(mine);
        using var client = VfioUserClient.Connect(_served.Path);
        client.MapMemory(0x10_0000, 0x1000, 0x2000, file);
        client.MapMemory(0x20_0000, 0x1000, 0, file);
        Assert.True(_served.Devices.TryPeek(out var device));
        Assert.True(device.Memory!.TryWrite(0x10_0008, 0x1234_5678_9abc_def0ul));
        Assert.True(memory.TryRead(0x2008, out ulong value));
        Assert.Equal(0x1234_5678_9abc_def0ul, value);

        client.UnmapMemory(0x10_0000, 0x1000);
        Assert.False(device.Memory!.TryRead(0x10_0008, out value));
        Assert.True(device.Memory!.TryRead(0x20_0008, out value));
        client.UnmapMemory(0x20_0000, 0x1000);
        Assert.Null(device.Memory);
    }

    [Theory]
    [InlineData(0x1000ul, 0x1000ul, 0ul, 17)]
    [InlineData(0x0ul, 0x3000ul, 0ul, 17)]
    [InlineData(0x1ffful, 0x1ul, 0ul, 17)]
    [InlineData(0x8000ul, 0x0ul, 0ul, 22)]
    [InlineData(0x8000ul, 0x5000ul, 0ul, 22)]
    [InlineData(0x8000ul, 0x1000ul, 0x4000ul, 22)]
    [InlineData(0x8000ul, 0x1000ul, 0xffff_ffff_ffff_f000ul, 22)]
    [InlineData(0xffff_ffff_ffff_f000ul, 0x2000ul, 0ul, 22)]
    public void An_invalid_DMA_map_is_refused_and_existing_maps_stay(ulong address, ulong size, ulong offset, int errno)
    {
        using var file = SharedMemoryFile.Create("test", 0x4000);
        using var client = VfioUserClient.Connect(_served.Path);
        client.MapMemory(0x1000, 0x1000, 0, file);
        Assert.Equal(errno, Assert.Throws<VfioUserException>(() => client.MapMemory(address, size, offset, file)).Errno);
        Assert.Equal(22, Assert.Throws<VfioUserException>(() => client.UnmapMemory(0x1000, 0x800)).Errno);
        Assert.True(_served.Devices.TryPeek(out var device));
        Assert.Single(device.Memory!.Regions);
        client.UnmapMemory(0x1000, 0x1000);
    }

    [Fact]
    public void An_unmap_removes_every_map_inside_its_range_and_cuts_none()
    {
        using var file = SharedMemoryFile.Create("test", 0x4000);
        using var client = VfioUserClient.Connect(_served.Path);
        foreach (var address in (ulong[])[0x1000, 0x2000, 0x4000, 0x9000]) client.MapMemory(address, 0x1000, 0, file);
        Assert.True(_served.Devices.TryPeek(out var device));
        ulong[] Mapped() => [.. device.Memory!.Regions.Select(static region => region.GuestAddress)];

        // As an IOMMU's driver invalidates: a power of two, from 0.
        client.UnmapMemory(0, 0x8000);
        Assert.Equal([0x9000ul], Mapped());
        client.UnmapMemory(0, 0x8000);
        foreach (var (address, size) in new[] { (0x9000ul, 0x800ul), (0x9800ul, 0x800ul), (0x8000ul, 0x1800ul), (0x9800ul, 0x8000ul) })
            Assert.Equal(22, Assert.Throws<VfioUserException>(() => client.UnmapMemory(address, size)).Errno);
        Assert.Equal([0x9000ul], Mapped());
        client.UnmapMemory(0x8000, ulong.MaxValue - 0x7fff);
        Assert.Null(device.Memory);
    }

    [Fact]
    public void The_number_of_DMA_maps_is_bounded()
    {
        using var file = SharedMemoryFile.Create("test", 0x1000);
        using var client = VfioUserClient.Connect(_served.Path);
        for (ulong i = 0; i < DmaTable.MaxEntries; i++) client.MapMemory(i << 12, 0x1000, 0, file);
        Assert.Equal(28, Assert.Throws<VfioUserException>(() => client.MapMemory(1ul << 40, 0x1000, 0, file)).Errno);
        client.UnmapMemory(0, 0x1000);
        client.MapMemory(1ul << 40, 0x1000, 0, file);
    }

    [Fact]
    public void MSI_signals_every_new_cause_even_while_one_is_pending()
    {
        using var client = VfioUserClient.Connect(_served.Path);
        using var fired = EventFd.Create();
        client.SetInterrupt(VfioPciIrq.Msi, fired);
        for (var i = 0; i < 3; i++)
        {
            client.WriteRegion(5, RegisterDevice.RaiseRegister, [1]);
            Assert.True(fired.TryDrain());
            Assert.False(fired.TryDrain());
        }
        client.SetInterrupt(VfioPciIrq.Msi, null);
        client.WriteRegion(5, RegisterDevice.RaiseRegister, [1]);
        Assert.False(fired.TryDrain());
    }

    [Fact]
    public void INTx_signals_again_on_unmask_only_while_it_is_asserted()
    {
        using var client = VfioUserClient.Connect(_served.Path);
        using var fired = EventFd.Create();
        client.SetInterrupt(VfioPciIrq.Intx, fired);
        client.WriteRegion(5, RegisterDevice.RaiseRegister, [1]);
        Assert.True(fired.TryDrain());
        client.WriteRegion(5, RegisterDevice.RaiseRegister, [1]);
        Assert.False(fired.TryDrain());
        client.Unmask(VfioPciIrq.Intx);
        Assert.True(fired.TryDrain());
        client.WriteRegion(5, RegisterDevice.LowerRegister, [1]);
        client.Unmask(VfioPciIrq.Intx);
        Assert.False(fired.TryDrain());
        client.WriteRegion(5, RegisterDevice.RaiseRegister, [1]);
        Assert.True(fired.TryDrain());
    }

    [Fact]
    public void INTx_disabled_by_the_driver_signals_when_it_is_enabled_again()
    {
        using var interrupt = new VfioInterrupt();
        using var fired = EventFd.Create();
        interrupt.SetEvent(VfioPciIrq.Intx, fired);
        interrupt.EnablePin(false);
        interrupt.Raise();
        Assert.False(fired.TryDrain());
        interrupt.EnablePin(true);
        Assert.True(fired.TryDrain());
    }

    [Fact]
    public void An_eventfd_set_while_the_interrupt_is_asserted_is_signalled_at_once()
    {
        using var client = VfioUserClient.Connect(_served.Path);
        using var fired = EventFd.Create();
        client.WriteRegion(5, RegisterDevice.RaiseRegister, [1]);
        client.SetInterrupt(VfioPciIrq.Msi, fired);
        Assert.True(fired.TryDrain());
    }

    [Fact]
    public void Each_client_has_its_own_device_which_is_disposed_on_disconnect()
    {
        using var file = SharedMemoryFile.Create("test", 0x1000);
        using (var one = VfioUserClient.Connect(_served.Path))
        using (var two = VfioUserClient.Connect(_served.Path))
        {
            one.WriteRegion(5, 0, [1]);
            two.WriteRegion(5, 0, [2]);
            one.MapMemory(0, 0x1000, 0, file);
            var value = new byte[1];
            one.ReadRegion(5, 0, value);
            Assert.Equal(1, value[0]);
            one.Reset();
        }
        Eventually.True(() => _served.Devices.All(d => d.Events.Contains("disposed")), "both devices are disposed");
        Eventually.True(() => _served.SessionCount == 0, "both sessions are closed");
        Assert.All(_served.Devices, d => Assert.Null(d.Memory));
        Assert.Contains("reset", _served.Devices.First().Events);
        Assert.DoesNotContain("reset", _served.Devices.Last().Events);
    }

    [Fact]
    public void A_client_reports_a_disconnected_server_and_its_handle_becomes_readable()
    {
        using var client = VfioUserClient.Connect(_served.Path);
        client.GetInfo();
        using var events = new WaitSet(client.Handle);
        Assert.False(events.Wait(0));
        _served.Dispose();
        Assert.True(events.Wait(60_000));
        var first = Assert.Throws<IOException>(() => client.GetInfo());
        Assert.Contains(_served.Path, first.Message, StringComparison.Ordinal);
        Assert.Equal(first.Message, Assert.Throws<IOException>(() => client.Reset()).Message);
    }

    [Fact]
    public void Register_accesses_allocate_nothing_on_either_end()
    {
        using var client = VfioUserClient.Connect(_served.Path);
        Span<byte> value = stackalloc byte[4];
        client.ReadRegion(5, 8, value);
        Assert.True(_served.Devices.TryPeek(out var device));
        long onServer = 0, onClient = 0;
        for (var i = 0; i < 3000; i++)
        {
            if (i == 1000) (onServer, onClient) = (device.AllocatedByServer, GC.GetAllocatedBytesForCurrentThread());
            client.WriteRegion(5, 8, value);
            client.ReadRegion(5, 8, value);
        }
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - onClient);
        Assert.Equal(0, device.AllocatedByServer - onServer);
    }
}
