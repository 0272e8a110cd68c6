using VmShunt.BlockBackend.Disk;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.HostPartition.Ahci.Controller;

/// <summary>Native command queuing: FPDMA commands, their completion and their errors (AHCI 1.3.1 §5.6.4, §6.2.2.2; ACS-3 §4.15).</summary>
public sealed class AhciQueuedTests
{
    private const ulong A = AhciMachine.Data;
    private const int Slots = 32, BlockBytes = 4096, BlockSectors = BlockBytes / 512;

    [Fact]
    public void The_HBA_and_the_disk_offer_32_queued_commands()
    {
        using var machine = new AhciMachine(new MemoryPortDriver(1 << 20)).Start();
        Assert.NotEqual(0u, machine.Hba(HbaRegister.CAP) & (uint)HbaCapabilities.SNCQ);
        Assert.Equal(32, CapFields.CommandSlots(machine.Hba(HbaRegister.CAP)));
        var id = new IdentifyData(machine.Identify());
        Assert.Equal((32, true), (id.QueueDepth, id.HasSendQueued));
        using var readOnly = new AhciMachine(new FaultyPortDriver(1 << 20, readOnly: true)).Start();
        id = new IdentifyData(readOnly.Identify());
        Assert.Equal((32, false), (id.QueueDepth, id.HasSendQueued));
    }

    [Fact]
    public void A_queued_read_completes_by_a_Set_Device_Bits_FIS_and_PxSACT()
    {
        using var machine = new AhciMachine(new MemoryPortDriver(1 << 20)).Start();
        machine.Memory.GetSpan(A, 512).Fill(0x5A);
        Assert.Equal(PortInterrupt.SDBS, Run(machine, 3, Fis(AtaCommand.WriteFpdmaQueued, 3, 7, 1), (A, 512)));
        Assert.Equal("A140500008000000", Received(machine));
        machine.Memory.GetSpan(A, 512).Clear();
        Assert.Equal(PortInterrupt.SDBS, Run(machine, 31, Fis(AtaCommand.ReadFpdmaQueued, 31, 7, 1), (A, 512)));
        Assert.Equal("A140500000000080", Received(machine));
        Assert.Equal(-1, machine.Memory.GetSpan(A, 512).IndexOfAnyExcept((byte)0x5A));
        Assert.Equal((0u, 0u, AtaStatus.Ready, AtaError.None), (machine.Port(PortRegister.PxSACT), machine.Issued, machine.Status, machine.Error));
    }

    [Fact]
    public void A_count_of_zero_is_65536_sectors()
    {
        using var machine = new AhciMachine(new MemoryPortDriver(65536L * 512)).Start();
        var pieces = Enumerable.Range(0, 8).Select(i => (A + (ulong)i * PrdtEntry.MaxBytes, PrdtEntry.MaxBytes)).ToArray();
        machine.Memory.GetSpan(A + 8 * (ulong)PrdtEntry.MaxBytes - 512, 512).Fill(0x11);
        Assert.Equal(PortInterrupt.SDBS, Run(machine, 0, Fis(AtaCommand.ReadFpdmaQueued, 0, 0, 0), pieces));
        Assert.Equal(-1, machine.Memory.GetSpan(A + 8 * (ulong)PrdtEntry.MaxBytes - 512, 512).IndexOfAnyExcept((byte)0));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_queued_write_with_FUA_is_durable_when_it_completes(bool fua)
    {
        var disk = new RecordingPortDriver();
        using var machine = new AhciMachine(disk).Start();
        var fis = Fis(AtaCommand.WriteFpdmaQueued, 0, 8, 1);
        if (fua) fis.Address.Device |= AtaDevice.FUA;
        Assert.Equal(PortInterrupt.SDBS, Run(machine, 0, fis, (A, 512)));
        Assert.Equal(fua ? ["write 8+1", "flush"] : ["write 8+1"], disk.Requests);
    }

    [Fact]
    public void Queued_TRIM_discards_and_its_logs_say_that_it_exists()
    {
        using var machine = new AhciMachine(new MemoryPortDriver(1 << 20)).Start();
        machine.Memory.GetSpan(A, 1024).Fill(0x77);
        machine.Run(AhciMachine.Fis(AtaCommand.WriteDmaExt, 5, 2), (A, 1024));
        machine.Memory.GetSpan(A, 512).Clear();
        Assert.True(machine.Memory.TryWrite(A, 5UL | 1UL << 48));
        Assert.Equal(PortInterrupt.SDBS, Run(machine, 9, Trim(9), (A, 512)));
        machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 5, 2), (A, 1024));
        Assert.Equal((0, 0x77), (machine.Memory.GetSpan(A, 1024)[0], machine.Memory.GetSpan(A, 1024)[512]));

        var directory = ReadLog(machine, AtaLog.Directory);
        Assert.Equal((1, 1, 1), (directory[0], directory[2 * 0x10], directory[2 * 0x13]));
        var send = ReadLog(machine, AtaLog.SendReceive);
        Assert.Equal([1, 0, 0, 0, 1, 0, 0, 0], send[..8]);
        Assert.Equal(-1, send.AsSpan(8).IndexOfAnyExcept((byte)0));
    }

    [Theory]
    [InlineData("subcommand")]
    [InlineData("auxiliary")]
    [InlineData("no blocks")]
    [InlineData("too many blocks")]
    public void A_SEND_FPDMA_QUEUED_that_is_no_TRIM_aborts(string what)
    {
        using var machine = new AhciMachine(new MemoryPortDriver(1 << 20)).Start();
        var fis = Trim(2);
        switch (what)
        {
            case "subcommand": fis.Address.Count |= 1 << 8; break;
            case "auxiliary": fis.Auxiliary = 0; break;
            case "no blocks": fis.FeaturesWord = 0; break;
            default: fis.FeaturesWord = 9; break;
        }
        Assert.Equal(PortInterrupt.SDBS | PortInterrupt.TFES, Run(machine, 2, fis, (A, 8192)));
        Assert.Equal(AtaError.ABRT, machine.Error);
    }

    [Fact]
    public void A_failed_queued_command_stops_the_port_and_its_log_names_it()
    {
        using var machine = new AhciMachine(new BadSectorPortDriver(1 << 20, badFrom: 100 * 512)).Start();
        machine.Prepare(4, Fis(AtaCommand.ReadFpdmaQueued, 4, 10, 1), (A, 512));
        machine.Prepare(5, Fis(AtaCommand.ReadFpdmaQueued, 5, 200, 2), (A, 1024));
        machine.Prepare(6, Fis(AtaCommand.ReadFpdmaQueued, 6, 20, 1), (A, 512));
        Issue(machine, 0x70);
        AhciMachine.WaitUntil(() => (machine.Interrupts & PortInterrupt.TFES) != 0);
        // The one before it was reported; the failed one and the one after it are the driver's to find.
        Assert.Equal((0x60u, 0x40u), (machine.Port(PortRegister.PxSACT), machine.Issued));
        Assert.Equal("A140514000000000", Received(machine));
        Assert.Equal((AtaStatus.Ready | AtaStatus.ERR, AtaError.UNC), (machine.Status, machine.Error));
        Assert.Equal(PortInterrupt.SDBS | PortInterrupt.TFES, machine.Interrupts);

        machine.Recover();
        Assert.Equal((0u, 0u), (machine.Port(PortRegister.PxSACT), machine.Issued));
        // Everything but the log aborts until it was read.
        Assert.Equal(PortInterrupt.DHRS | PortInterrupt.TFES, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 10, 1), (A, 512)));
        Assert.Equal(AtaError.ABRT, machine.Error);
        machine.Recover();
        Assert.Equal(PortInterrupt.DHRS | PortInterrupt.TFES, Run(machine, 0, Fis(AtaCommand.ReadFpdmaQueued, 0, 10, 1), (A, 512)));
        machine.Recover();
        var log = ReadLog(machine, AtaLog.QueuedError);
        Assert.Equal([5, 0, 0x51, 0x40, 200, 0, 0, 0x40, 0, 0, 0, 0, 5 << 3, 0], log[..14]);
        Assert.Equal(0, log.Sum(static b => b) & 0xFF);
        Assert.Equal(PortInterrupt.SDBS, Run(machine, 6, Fis(AtaCommand.ReadFpdmaQueued, 6, 20, 1), (A, 512)));
        // There is none now.
        Assert.Equal(0x80, ReadLog(machine, AtaLog.QueuedError)[0]);
    }

    [Theory]
    [InlineData(AtaCommand.ReadFpdmaQueued, 2048UL, 1)]
    [InlineData(AtaCommand.ReadFpdmaQueued, 2047UL, 2)]
    [InlineData(AtaCommand.WriteFpdmaQueued, 0UL, 0)]
    [InlineData(AtaCommand.WriteFpdmaQueued, 0xFFFF_FFFF_FFFFUL, 1)]
    public void A_queued_address_past_the_end_is_not_found(AtaCommand command, ulong lba, int count)
    {
        using var machine = new AhciMachine(new MemoryPortDriver(1 << 20)).Start();
        machine.Memory.GetSpan(A, 4096).Fill(0x11);
        Assert.Equal(PortInterrupt.SDBS | PortInterrupt.TFES, Run(machine, 1, Fis(command, 1, lba, count), (A, 4096)));
        Assert.Equal(AtaError.IDNF, machine.Error);
        Assert.Equal(-1, machine.Memory.GetSpan(A, 4096).IndexOfAnyExcept((byte)0x11));
    }

    [Fact]
    public void A_queued_write_to_a_read_only_disk_aborts_and_a_failing_disk_is_a_device_fault()
    {
        using var readOnly = new AhciMachine(new FaultyPortDriver(1 << 20, readOnly: true)).Start();
        Assert.Equal(PortInterrupt.SDBS | PortInterrupt.TFES, Run(readOnly, 0, Fis(AtaCommand.WriteFpdmaQueued, 0, 0, 1), (A, 512)));
        Assert.Equal(AtaError.ABRT, readOnly.Error);
        using var failing = new AhciMachine(new FaultyPortDriver(1 << 20)).Start();
        Assert.Equal(PortInterrupt.SDBS | PortInterrupt.TFES, Run(failing, 0, Fis(AtaCommand.WriteFpdmaQueued, 0, 0, 1), (A, 512)));
        Assert.Equal((AtaError.ABRT, AtaStatus.Ready | AtaStatus.ERR | AtaStatus.DF), (failing.Error, failing.Status));
        failing.Recover();
        Assert.Equal(0x71, ReadLog(failing, AtaLog.QueuedError)[2]);
    }

    [Theory]
    [InlineData("COMRESET")]
    [InlineData("HBA reset")]
    [InlineData("software reset")]
    [InlineData("power-on")]
    public void A_reset_ends_the_error_of_a_queued_command(string reset)
    {
        using var machine = new AhciMachine(new MemoryPortDriver(1 << 20)).Start();
        Run(machine, 1, Fis(AtaCommand.ReadFpdmaQueued, 1, 5000, 1), (A, 512));
        switch (reset)
        {
            case "COMRESET":
                machine.Recover();
                machine.Port(PortRegister.PxSCTL, SataLink.DETReset);
                machine.Port(PortRegister.PxSCTL, 0);
                machine.Recover();
                break;
            case "HBA reset":
                machine.Hba(HbaRegister.GHC, (uint)GlobalHostControl.HR);
                machine.Start();
                break;
            case "power-on":
                machine.Controller.Reset();
                machine.Start();
                break;
            default:
                machine.Recover();
                foreach (var control in (AtaControl[])[AtaControl.SRST, AtaControl.None])
                {
                    machine.Prepare(0, new HostToDeviceFis { Type = FisType.RegisterH2D, Control = control });
                    machine.Issue(1);
                    AhciMachine.WaitUntil(() => machine.Issued == 0);
                }
                break;
        }
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 1, 1), (A, 512)) & ~PortInterrupt.PCS);
    }

    [Fact]
    public void PxSACT_takes_bits_while_ST_is_set_keeps_them_over_COMRESET_and_clears_with_ST_or_an_HBA_reset()
    {
        using var machine = new AhciMachine(new MemoryPortDriver(1 << 20));
        machine.Port(PortRegister.PxSACT, 1);
        Assert.Equal(0u, machine.Port(PortRegister.PxSACT));
        machine.Start();
        machine.Port(PortRegister.PxSACT, 0x10);
        machine.Port(PortRegister.PxSACT, 0x01);
        machine.Port(PortRegister.PxSACT, 0);
        Assert.Equal(0x11u, machine.Port(PortRegister.PxSACT));
        machine.Controller.Write((ulong)HbaRegister.OfPort(0, PortRegister.PxSACT) + 3, [0x80]);
        Assert.Equal(0x8000_0011u, machine.Port(PortRegister.PxSACT));
        machine.Port(PortRegister.PxSCTL, SataLink.DETReset);
        machine.Port(PortRegister.PxSCTL, 0);
        Assert.Equal(0x8000_0011u, machine.Port(PortRegister.PxSACT));
        machine.Port(PortRegister.PxCMD, (uint)PortCommand.FRE);
        Assert.Equal(0u, machine.Port(PortRegister.PxSACT));
        machine.Port(PortRegister.PxCMD, (uint)(PortCommand.FRE | PortCommand.ST));
        machine.Port(PortRegister.PxSACT, 1);
        machine.Hba(HbaRegister.GHC, (uint)GlobalHostControl.HR);
        Assert.Equal(0u, machine.Port(PortRegister.PxSACT));
    }

    [Fact]
    public void A_bad_table_of_a_queued_command_is_the_HBAs_error_and_no_error_of_the_disk()
    {
        using var machine = new AhciMachine(new MemoryPortDriver(1 << 20)).Start();
        Assert.Equal(PortInterrupt.OFS | PortInterrupt.IFS, Run(machine, 1, Fis(AtaCommand.ReadFpdmaQueued, 1, 0, 2), (A, 512)));
        Assert.Equal((2u, 2u), (machine.Port(PortRegister.PxSACT), machine.Issued));
        machine.Recover();
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 1, 1), (A, 512)));
    }

    [Fact]
    public void Random_batches_of_queued_commands_leave_disk_and_memory_as_a_model_predicts()
    {
        const int blocks = 256;
        var seed = Random.Shared.Next();
        var random = new Random(seed);
        using var machine = new AhciMachine(new MemoryPortDriver(blocks * BlockBytes)).Start();
        var model = new byte[blocks * BlockBytes];
        for (var round = 0; round < 200; round++)
        {
            var at = Enumerable.Range(0, blocks).ToArray();
            random.Shuffle(at);
            var mask = round % 4 == 0 ? uint.MaxValue : (uint)random.Next() & (uint)random.Next();
            var bad = random.Next(8) == 0 ? random.Next(Slots) : Slots;
            if (bad < Slots) mask |= 1u << bad;
            var kinds = new int[Slots];
            var data = new byte[Slots][];
            for (var tag = 0; tag < Slots; tag++)
            {
                if ((mask >> tag & 1) == 0) continue;
                kinds[tag] = random.Next(3);
                data[tag] = new byte[BlockBytes];
                random.NextBytes(data[tag]);
                var (lba, memory) = ((ulong)(tag == bad ? blocks : at[tag]) * BlockSectors, A + (ulong)tag * BlockBytes);
                if (kinds[tag] == 2)
                {
                    data[tag].AsSpan().Clear();
                    BitConverter.TryWriteBytes(data[tag], lba | (ulong)BlockSectors << 48);
                }
                data[tag].CopyTo(machine.Memory.GetSpan(memory, BlockBytes));
                machine.Prepare(tag, kinds[tag] switch
                {
                    0 => Fis(AtaCommand.ReadFpdmaQueued, tag, lba, BlockSectors),
                    1 => Fis(AtaCommand.WriteFpdmaQueued, tag, lba, BlockSectors),
                    _ => Trim(tag),
                }, (memory, BlockBytes));
            }
            Issue(machine, mask);
            AhciMachine.WaitUntil(() => machine.Port(PortRegister.PxSACT) == 0 || (machine.Interrupts & PortInterrupt.TFES) != 0);
            var failed = bad < Slots;
            Assert.True(failed == ((machine.Interrupts & PortInterrupt.TFES) != 0), $"seed {seed}, round {round}");
            // In slot order; what follows the failed one was not executed.
            for (var tag = 0; tag < Slots; tag++)
            {
                if ((mask >> tag & 1) == 0 || tag >= bad) continue;
                var block = model.AsSpan(at[tag] * BlockBytes, BlockBytes);
                if (kinds[tag] == 0) Assert.True(block.SequenceEqual(machine.Memory.GetSpan(A + (ulong)tag * BlockBytes, BlockBytes)), $"seed {seed}, round {round}, tag {tag}");
                else if (kinds[tag] == 1) data[tag].CopyTo(block);
                else block.Clear();
            }
            if (failed)
            {
                Assert.Equal(mask & (uint.MaxValue << bad), machine.Port(PortRegister.PxSACT));
                machine.Recover();
                Assert.Equal(bad, ReadLog(machine, AtaLog.QueuedError)[0]);
            }
            machine.Port(PortRegister.PxIS, uint.MaxValue);
        }
        for (var block = 0; block < blocks; block++)
        {
            machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, (ulong)block * BlockSectors, BlockSectors), (A, BlockBytes));
            Assert.True(model.AsSpan(block * BlockBytes, BlockBytes).SequenceEqual(machine.Memory.GetSpan(A, BlockBytes)), $"seed {seed}, block {block}");
        }
    }

    private static HostToDeviceFis Fis(AtaCommand command, int tag, ulong lba, int sectors)
    {
        var fis = AhciMachine.Fis(command, lba, tag << 3);
        fis.FeaturesWord = (ushort)sectors;
        return fis;
    }

    private static HostToDeviceFis Trim(int tag)
    {
        var fis = Fis(AtaCommand.SendFpdmaQueued, tag, 0, 1);
        fis.Auxiliary = 1;
        return fis;
    }

    private static void Issue(AhciMachine machine, uint slots)
    {
        machine.Port(PortRegister.PxSACT, slots);
        machine.Issue(slots);
    }

    private static PortInterrupt Run(AhciMachine machine, int tag, HostToDeviceFis fis, params (ulong, int)[] pieces)
    {
        machine.Prepare(tag, fis, pieces);
        Issue(machine, 1u << tag);
        AhciMachine.WaitUntil(() => (machine.Port(PortRegister.PxSACT) >> tag & 1) == 0 || (machine.Interrupts & AhciMachine.Errors) != 0);
        var interrupts = machine.Interrupts;
        machine.Port(PortRegister.PxIS, (uint)interrupts);
        return interrupts;
    }

    private static string Received(AhciMachine machine) => Convert.ToHexString(machine.Memory.GetSpan(AhciMachine.FisArea + ReceivedFis.SDBFIS, 8));

    private static byte[] ReadLog(AhciMachine machine, AtaLog log)
    {
        Assert.Equal(PortInterrupt.PSS, machine.Run(AhciMachine.Fis(AtaCommand.ReadLogExt, (ulong)log, 1), (A + 0x20_0000, 512)));
        return machine.Memory.GetSpan(A + 0x20_0000, 512).ToArray();
    }
}
