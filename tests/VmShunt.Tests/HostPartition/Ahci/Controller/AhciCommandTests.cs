using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.AhciBackend.Controller;
using VmShunt.BlockBackend;
using VmShunt.BlockBackend.Disk;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.HostPartition.Ahci.Controller;

/// <summary>The effects of the supported commands on disk and memory.</summary>
public class AhciCommandTests
{
    private const ulong A = AhciMachine.Data, B = AhciMachine.Data + 0x10_0000;

    private protected virtual AhciMachine Machine(PortDriver port, int blockBytes = 512) => new(port, blockBytes);

    [Fact]
    public void IDENTIFY_describes_the_disk()
    {
        using var machine = Machine(new MemoryPortDriver(5000 * 512), blockBytes: 4096).Start();
        var id = new IdentifyData(machine.Identify());
        Assert.True(id.IsIntact);
        Assert.Equal("SER0123456789", id.Serial);
        Assert.Equal("VmShunt AHCI disk", id.Model);
        Assert.Equal((625UL, 4096L, 4096L), (id.Sectors, id.LogicalSectorBytes, id.PhysicalSectorBytes));
        Assert.True(id.HasLba48 && id.HasFlushCacheExt && id.HasWriteCache && id.IsWriteCacheEnabled && id.HasSmart && id.HasTrim && id.HasFua);
        Assert.Equal(0, id[IdentifyWord.GeneralConfiguration] & 0x8000);
        Assert.Equal(32, id.QueueDepth);
        Assert.Equal(512u, machine.Prdbc());
        Assert.True(machine.Memory.TryRead<PioSetupFis>(AhciMachine.FisArea + ReceivedFis.PSFIS, out var fis));
        Assert.Equal((FisType.PioSetup, FisFlags.D | FisFlags.I, AtaStatus.Ready, (ushort)512), (fis.Type, fis.Flags, fis.EStatus, fis.TransferCount));
    }

    [Fact]
    public void SET_FEATURES_shows_in_IDENTIFY_until_power_on()
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.SetFeatures, features: (byte)AtaFeature.DisableWriteCache)));
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.SetFeatures, count: 0x42, features: (byte)AtaFeature.SetTransferMode)));
        var id = new IdentifyData(machine.Identify());
        Assert.True(id.HasWriteCache);
        Assert.False(id.IsWriteCacheEnabled);
        Assert.Equal(0x047F, id[IdentifyWord.UltraDma]);
        machine.Controller.Reset();
        Assert.True(new IdentifyData(machine.Start().Identify()).IsWriteCacheEnabled);
    }

    [Theory]
    [InlineData(AtaCommand.WriteDmaExt, AtaCommand.ReadDmaExt, PortInterrupt.DHRS)]
    [InlineData(AtaCommand.WriteDmaFuaExt, AtaCommand.ReadDmaExt, PortInterrupt.DHRS)]
    [InlineData(AtaCommand.WriteSectorsExt, AtaCommand.ReadSectorsExt, PortInterrupt.PSS)]
    [InlineData(AtaCommand.WriteDma, AtaCommand.ReadDma, PortInterrupt.DHRS)]
    [InlineData(AtaCommand.WriteSectors, AtaCommand.ReadSectors, PortInterrupt.PSS)]
    public void What_one_command_writes_the_other_reads(AtaCommand write, AtaCommand read, PortInterrupt done)
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        var expected = new byte[3 * 512];
        new Random(7).NextBytes(expected);
        expected.CopyTo(machine.Memory.GetSpan(A, expected.Length));
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(write, 100, 3), (A, 3 * 512)));
        Assert.Equal(1536u, machine.Prdbc());
        Assert.Equal(done, machine.Run(AhciMachine.Fis(read, 100, 3), (B, 3 * 512)));
        Assert.Equal(1536u, machine.Prdbc());
        Assert.Equal(expected, machine.Memory.GetSpan(B, expected.Length));
        Assert.Equal(AtaStatus.Ready, machine.Status);
    }

    [Fact]
    public void Random_requests_leave_disk_and_memory_as_a_model_predicts()
    {
        const int sectors = 2048;
        var seed = Random.Shared.Next();
        var random = new Random(seed);
        using var machine = Machine(new MemoryPortDriver(sectors * 512)).Start();
        var model = new byte[sectors * 512];
        for (var round = 0; round < 400; round++)
        {
            var count = 1 + random.Next(random.Next(4) == 0 ? 256 : 8);
            var lba = random.Next(sectors - count + 1);
            var pieces = Split(random, count * 512);
            var stretch = model.AsSpan(lba * 512, count * 512);
            switch (random.Next(4))
            {
                case 0:
                    random.NextBytes(stretch);
                    Scatter(machine, pieces, stretch);
                    var write = random.Next(2) == 0 ? AhciMachine.Fis(AtaCommand.WriteDmaExt, (ulong)lba, count) : AhciMachine.Fis28(AtaCommand.WriteDma, (ulong)lba, count);
                    Assert.True(machine.Run(write, pieces) == PortInterrupt.DHRS, $"seed {seed}, round {round}");
                    break;
                case 1:
                    Trim(machine, [((ulong)lba, count)]);
                    stretch.Clear();
                    break;
                case 2:
                    Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.FlushCacheExt)));
                    break;
                default:
                    var read = random.Next(2) == 0 ? AhciMachine.Fis(AtaCommand.ReadDmaExt, (ulong)lba, count) : AhciMachine.Fis28(AtaCommand.ReadDma, (ulong)lba, count);
                    Assert.True(machine.Run(read, pieces) == PortInterrupt.DHRS, $"seed {seed}, round {round}");
                    Assert.True(stretch.SequenceEqual(Gather(machine, pieces)), $"seed {seed}, round {round}: {count} sectors at {lba}");
                    Assert.Equal((uint)count * 512, machine.Prdbc());
                    break;
            }
        }
    }

    [Fact]
    public void A_table_with_more_entries_than_one_disk_operation_takes_is_split()
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        var pieces = new (ulong, int)[6 * 256 + 1];
        for (var i = 0; i < pieces.Length; i++) pieces[i] = (A + (ulong)i * 8, 2);
        pieces[^1] = (B, 512);
        var expected = new byte[7 * 512];
        new Random(3).NextBytes(expected);
        Scatter(machine, pieces, expected);
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.WriteDmaExt, 9, 7), pieces));
        Assert.Equal(7u * 512, machine.Prdbc());
        machine.Memory.GetSpan(A, 0x20_0000).Clear();
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 9, 7), pieces));
        Assert.Equal(expected, Gather(machine, pieces));
        Assert.Equal(7u * 512, machine.Prdbc());
    }

    [Theory]
    [InlineData(AtaCommand.ReadDmaExt, 65536)]
    [InlineData(AtaCommand.ReadDma, 256)]
    public void A_count_of_zero_is_the_largest_count(AtaCommand command, int sectors)
    {
        using var machine = Machine(new MemoryPortDriver(65536L * 512)).Start();
        var pieces = Enumerable.Range(0, 8).Select(i => (A + (ulong)i * PrdtEntry.MaxBytes, PrdtEntry.MaxBytes)).ToArray();
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(command), pieces));
        Assert.Equal((uint)sectors * 512, machine.Prdbc());
    }

    [Fact]
    public void Data_above_4_GiB_and_across_two_regions_is_reached()
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        machine.Memory.GetSpan(AhciMachine.HighBase + 512, 512).Fill(0x5A);
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.WriteDmaExt, 4, 1), (AhciMachine.HighBase + 512, 512)));
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 4, 1), (A, 512)));
        Assert.Equal(-1, machine.Memory.GetSpan(A, 512).IndexOfAnyExcept((byte)0x5A));
    }

    [Fact]
    public void A_table_that_is_too_long_transfers_the_length_of_the_command()
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        machine.Memory.GetSpan(A, 4096).Fill(0x11);
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 1), (A, 4096), (ulong.MaxValue - 1, 2)));
        Assert.Equal(512u, machine.Prdbc());
        Assert.Equal(512, machine.Memory.GetSpan(A, 4096).IndexOf((byte)0x11));
    }

    [Fact]
    public void TRIM_takes_many_ranges_and_skips_empty_ones()
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        machine.Memory.GetSpan(A, 64 * 512).Fill(0x77);
        machine.Run(AhciMachine.Fis(AtaCommand.WriteDmaExt, 0, 64), (A, 64 * 512));
        Trim(machine, [(1, 2), (0, 0), (10, 1), (63, 1)]);
        machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 64), (B, 64 * 512));
        for (var sector = 0; sector < 64; sector++)
            Assert.Equal(sector is 1 or 2 or 10 or 63 ? 0 : 0x77, machine.Memory.GetSpan(B + (ulong)sector * 512, 1)[0]);
    }

    [Fact]
    public void SMART_reports_a_healthy_disk_while_it_is_enabled()
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        const ulong key = (ulong)AtaSmartKey.Lba << 8;
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.Smart, key, features: (byte)AtaSmart.ReturnStatus)));
        Assert.Equal(key, machine.ReceivedRegisters().Address.Lba);
        Assert.Equal(PortInterrupt.PSS, machine.Run(AhciMachine.Fis(AtaCommand.Smart, key, 1, (byte)AtaSmart.ReadData), (A, 512)));
        Assert.Equal(0, machine.Memory.GetSpan(A, 512).ToArray().Sum(b => b) & 0xFF);
        machine.Run(AhciMachine.Fis(AtaCommand.Smart, key, features: (byte)AtaSmart.DisableOperations));
        Assert.Equal(0, new IdentifyData(machine.Identify())[IdentifyWord.Enabled] & 1);
        Assert.Equal(PortInterrupt.DHRS | PortInterrupt.TFES, machine.Run(AhciMachine.Fis(AtaCommand.Smart, key, features: (byte)AtaSmart.ReturnStatus)));
    }

    /// <summary>What smartctl -x reads: thresholds, and the directories of both kinds of logs; other logs are not there, and abort.</summary>
    [Fact]
    public void The_logs_of_a_disk_are_its_directory()
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        const ulong key = (ulong)AtaSmartKey.Lba << 8;
        var id = new IdentifyData(machine.Identify());
        Assert.True(id.HasLogs);
        Assert.Equal(0, id[IdentifyWord.Supported + 2] & 3);
        byte[] directory = [1, .. new byte[511]];
        Assert.Equal(PortInterrupt.PSS, machine.Run(AhciMachine.Fis(AtaCommand.Smart, key, 1, (byte)AtaSmart.ReadThresholds), (A, 512)));
        Assert.Equal([0x10, .. new byte[510], 0xF0], machine.Memory.GetSpan(A, 512).ToArray());
        Assert.Equal(PortInterrupt.PSS, machine.Run(AhciMachine.Fis(AtaCommand.Smart, key, 1, (byte)AtaSmart.ReadLog), (A, 512)));
        Assert.Equal(directory, machine.Memory.GetSpan(A, 512).ToArray());
        machine.Memory.GetSpan(A, 512).Fill(0x77);
        Assert.Equal(PortInterrupt.PSS, machine.Run(AhciMachine.Fis(AtaCommand.ReadLogExt, 0, 1), (A, 512)));
        // Two more logs, of queued commands, which SMART READ LOG does not have.
        directory[2 * (int)AtaLog.QueuedError] = directory[2 * (int)AtaLog.SendReceive] = 1;
        Assert.Equal(directory, machine.Memory.GetSpan(A, 512).ToArray());

        foreach (var fis in new[]
        {
            AhciMachine.Fis(AtaCommand.Smart, key | 1, 1, (byte)AtaSmart.ReadLog),
            AhciMachine.Fis(AtaCommand.Smart, key | (ulong)AtaLog.QueuedError, 1, (byte)AtaSmart.ReadLog),
            AhciMachine.Fis(AtaCommand.Smart, key, 2, (byte)AtaSmart.ReadLog),
            AhciMachine.Fis(AtaCommand.ReadLogExt, 0x30, 1),
            AhciMachine.Fis(AtaCommand.ReadLogExt, 0x100, 1),
            AhciMachine.Fis(AtaCommand.ReadLogExt, 1UL << 32, 1),
            AhciMachine.Fis(AtaCommand.ReadLogExt, 0, 0),
        })
        {
            Assert.Equal(PortInterrupt.DHRS | PortInterrupt.TFES, machine.Run(fis, (A, 512)));
            Assert.Equal(AtaError.ABRT, machine.ReceivedRegisters().Error);
            machine.Recover();
        }
    }

    [Fact]
    public void A_disk_of_its_own_serial_number_has_a_world_wide_name()
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        var name = new IdentifyData(machine.Identify()).WorldWideName;
        Assert.Equal((0x5_02_5653UL, AtaIdentity.WorldWideName("SER0123456789")), (name >> 36, name));
        Assert.NotEqual(name, AtaIdentity.WorldWideName("SER0123456788"));
    }

    [Fact]
    public void A_disk_without_a_serial_number_of_its_own_has_no_world_wide_name()
    {
        using var disk = new VirtualizationDriver(new HostClassDriver(new MemoryPortDriver(1 << 20), NullLogger.Instance), BlockStorage.DefaultSerial, 512);
        using var cache = disk.OpenWriteCache();
        var id = new IdentifyData(new byte[512]);
        AtaIdentity.Describe(disk, 2048, cache, smart: true, AtaIdentity.DefaultUltraDmaMode, id);
        Assert.Equal((0UL, 0), (id.WorldWideName, id[IdentifyWord.Supported + 2] & 1 << 8));
    }

    [Fact]
    public void A_sleeping_or_idle_disk_is_always_active()
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        foreach (var command in (AtaCommand[])[AtaCommand.StandbyImmediate, AtaCommand.IdleImmediate, AtaCommand.Standby, AtaCommand.Idle])
            Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(command)));
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.CheckPowerMode)));
        Assert.Equal(0xFF, machine.ReceivedRegisters().Address.Count);
    }

    [Fact]
    public void Thirty_two_commands_issued_at_once_are_executed_in_slot_order()
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        for (var slot = 0; slot < 32; slot++)
        {
            var at = A + (ulong)slot * 512;
            machine.Memory.GetSpan(at, 512).Fill((byte)(slot + 1));
            // Even slots all write sector 0: it holds the data of the last one in slot order.
            machine.Prepare(slot, AhciMachine.Fis(AtaCommand.WriteDmaExt, slot % 2 == 0 ? 0 : (ulong)slot, 1), (at, 512));
        }
        machine.Run(uint.MaxValue);
        Assert.Equal(0u, machine.Issued);
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 32), (B, 32 * 512)));
        Assert.Equal(31, machine.Memory.GetSpan(B, 1)[0]);
        for (var slot = 1; slot < 32; slot += 2)
            Assert.Equal(slot + 1, machine.Memory.GetSpan(B + (ulong)slot * 512, 1)[0]);
    }

    private static void Trim(AhciMachine machine, (ulong Lba, int Sectors)[] ranges)
    {
        var block = machine.Memory.GetSpan(B, 512);
        block.Clear();
        for (var i = 0; i < ranges.Length; i++)
            BitConverter.TryWriteBytes(block[(i * 8)..], ranges[i].Lba | (ulong)ranges[i].Sectors << 48);
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.DataSetManagement, 0, 1, 1), (B, 512)));
    }

    private static (ulong Address, int Bytes)[] Split(Random random, int bytes)
    {
        var pieces = new List<(ulong, int)>();
        var at = A;
        while (bytes > 0)
        {
            var n = Math.Min(bytes, 2 * (1 + random.Next(random.Next(3) == 0 ? 20 : 8192)));
            at += 2 * (ulong)random.Next(64);
            pieces.Add((at, n));
            at += (ulong)n;
            bytes -= n;
        }
        return [.. pieces];
    }

    private static void Scatter(AhciMachine machine, (ulong Address, int Bytes)[] pieces, ReadOnlySpan<byte> data)
    {
        foreach (var (address, bytes) in pieces)
        {
            data[..bytes].CopyTo(machine.Memory.GetSpan(address, bytes));
            data = data[bytes..];
        }
    }

    private static byte[] Gather(AhciMachine machine, (ulong Address, int Bytes)[] pieces)
    {
        using var all = new MemoryStream();
        foreach (var (address, bytes) in pieces) all.Write(machine.Memory.GetSpan(address, bytes));
        return all.ToArray();
    }
}
