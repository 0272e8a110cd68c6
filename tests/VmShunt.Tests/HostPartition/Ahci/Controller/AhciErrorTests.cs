using VmShunt.BlockBackend.Disk;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.HostPartition.Ahci.Controller;

/// <summary>A guest's error fails its command and stops its port until the guest recovers it (AHCI 1.3.1 §6.2.2).</summary>
public class AhciErrorTests
{
    private const ulong A = AhciMachine.Data;

    private protected virtual AhciMachine Machine(PortDriver port, int blockBytes = 512) => new(port, blockBytes);

    [Fact]
    public void Opcodes_that_are_not_supported_abort()
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        for (var opcode = 0; opcode < 256; opcode++)
        {
            if (Enum.IsDefined((AtaCommand)opcode) && (AtaCommand)opcode is not (AtaCommand.Nop or AtaCommand.DeviceReset)) continue;
            ExpectTaskFileError(machine, AhciMachine.Fis((AtaCommand)opcode), AtaError.ABRT);
        }
    }

    [Theory]
    [InlineData(AtaCommand.ReadDmaExt, 2048UL, 1)]
    [InlineData(AtaCommand.ReadDmaExt, 2047UL, 2)]
    [InlineData(AtaCommand.ReadDmaExt, 0UL, 0)]
    [InlineData(AtaCommand.ReadDmaExt, 0xFFFF_FFFF_FFFFUL, 1)]
    [InlineData(AtaCommand.WriteDmaExt, 2048UL, 1)]
    [InlineData(AtaCommand.ReadVerifySectorsExt, 2048UL, 1)]
    [InlineData(AtaCommand.ReadSectorsExt, 2048UL, 1)]
    [InlineData(AtaCommand.WriteDma, 2048UL, 1)]
    [InlineData(AtaCommand.ReadVerifySectors, 2000UL, 0)]
    public void An_address_past_the_end_is_not_found(AtaCommand command, ulong lba, int count)
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        machine.Memory.GetSpan(A, 4096).Fill(0x11);
        ExpectTaskFileError(machine, AhciMachine.Fis(command, lba, count), AtaError.IDNF, (A, 4096));
        Assert.Equal(Math.Max(lba, 2048), machine.ReceivedRegisters().Address.Lba);
        Assert.Equal(-1, machine.Memory.GetSpan(A, 4096).IndexOfAnyExcept((byte)0x11));
    }

    [Fact]
    public void A_28_bit_command_without_the_LBA_bit_aborts()
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        var fis = AhciMachine.Fis28(AtaCommand.ReadDma, 1, 1);
        fis.Address.Device = AtaDevice.None;
        ExpectTaskFileError(machine, fis, AtaError.ABRT, (A, 512));
    }

    [Theory]
    [InlineData(AtaCommand.WriteDmaExt)]
    [InlineData(AtaCommand.WriteSectors)]
    [InlineData(AtaCommand.DataSetManagement)]
    public void A_read_only_disk_refuses_to_be_written(AtaCommand command)
    {
        using var machine = Machine(new FaultyPortDriver(1 << 20, readOnly: true)).Start();
        ExpectTaskFileError(machine, AhciMachine.Fis(command, 0, 1, 1), AtaError.ABRT, (A, 512));
        Assert.False(new IdentifyData(machine.Identify()).HasTrim);
    }

    [Fact]
    public void A_failing_disk_is_a_task_file_error()
    {
        using var machine = Machine(new FaultyPortDriver(1 << 20)).Start();
        ExpectTaskFileError(machine, AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 1), AtaError.UNC, (A, 512));
        ExpectTaskFileError(machine, AhciMachine.Fis(AtaCommand.WriteDmaExt, 0, 1), AtaError.ABRT, AtaStatus.DF, (A, 512));
        ExpectTaskFileError(machine, AhciMachine.Fis(AtaCommand.FlushCache), AtaError.ABRT, AtaStatus.DF);
    }

    [Fact]
    public void TRIM_with_one_range_outside_the_disk_discards_nothing()
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        machine.Memory.GetSpan(A, 512).Fill(0x77);
        machine.Run(AhciMachine.Fis(AtaCommand.WriteDmaExt, 5, 1), (A, 512));
        machine.Memory.GetSpan(A, 512).Clear();
        Assert.True(machine.Memory.TryWrite(A, 5UL | 1UL << 48));
        Assert.True(machine.Memory.TryWrite(A + 8, 2047UL | 2UL << 48));
        ExpectTaskFileError(machine, AhciMachine.Fis(AtaCommand.DataSetManagement, 0, 1, 1), AtaError.IDNF | AtaError.ABRT, (A, 512));
        machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 5, 1), (A, 512));
        Assert.Equal(0x77, machine.Memory.GetSpan(A, 1)[0]);
    }

    [Theory]
    [InlineData(0, 1)] // no blocks
    [InlineData(9, 1)] // more than word 105 allows
    [InlineData(1, 0)] // not TRIM
    [InlineData(1, 3)]
    public void DATA_SET_MANAGEMENT_that_is_not_supported_aborts(int blocks, byte features)
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        ExpectTaskFileError(machine, AhciMachine.Fis(AtaCommand.DataSetManagement, 0, blocks, features), AtaError.ABRT, (A, 8192));
    }

    public static TheoryData<string, (ulong, int)[], PortInterrupt> BadTables => new()
    {
        { "empty", [], PortInterrupt.OFS | PortInterrupt.IFS },
        { "too short", [(A, 512)], PortInterrupt.OFS | PortInterrupt.IFS },
        { "too short by a word", [(A, 512), (A + 4096, 510)], PortInterrupt.OFS | PortInterrupt.IFS },
        { "an odd length", [(A, 511), (A + 4096, 1024)], PortInterrupt.HBFS },
        { "an odd address", [(A + 1, 1024)], PortInterrupt.HBFS },
        { "outside memory", [(A, 512), (0x5000_0000, 512)], PortInterrupt.HBFS },
        { "across the end of memory", [(AhciMachine.LowBytes - 512, 1024)], PortInterrupt.HBFS },
        { "the device's own registers", [(0xF000_0000, 1024)], PortInterrupt.HBFS },
        { "the end of the address space", [(ulong.MaxValue - 511, 1024)], PortInterrupt.HBFS },
    };

    [Theory]
    [MemberData(nameof(BadTables))]
    public void A_bad_table_fails_the_command_before_anything_moves(string what, (ulong, int)[] pieces, PortInterrupt expected)
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        machine.Memory.GetSpan(A, 4096).Fill(0x11);
        foreach (var command in (AtaCommand[])[AtaCommand.ReadDmaExt, AtaCommand.WriteDmaExt, AtaCommand.ReadSectorsExt])
        {
            Assert.Equal(expected, machine.Run(AhciMachine.Fis(command, 0, 2), pieces));
            Assert.True(machine.Issued == 1, what);
            Assert.Equal(-1, machine.Memory.GetSpan(A, 4096).IndexOfAnyExcept((byte)0x11));
            Assert.Equal(0u, machine.Prdbc());
            machine.Recover();
        }
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 2), (A, 1024)));
        Assert.Equal(-1, machine.Memory.GetSpan(A, 1024).IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public void A_table_may_point_at_the_command_list_and_the_FIS_area()
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        machine.Memory.GetSpan(A, 512).Fill(0xFF);
        machine.Run(AhciMachine.Fis(AtaCommand.WriteDmaExt, 0, 1), (A, 512));
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 1), (AhciMachine.CommandList, 256), (AhciMachine.FisArea, 256)));
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 1), (AhciMachine.Tables, 512)));
        Assert.Equal(FisType.RegisterD2H, machine.ReceivedRegisters().Type);
    }

    [Fact]
    public void A_command_list_table_or_FIS_area_outside_memory_is_a_host_bus_error()
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        machine.Port(PortRegister.PxCLBU, 0x77);
        Assert.Equal(PortInterrupt.HBFS, machine.Run(slots: 1));
        machine.Port(PortRegister.PxCLBU, 0);
        machine.Recover();

        machine.Prepare(0, AhciMachine.Fis(AtaCommand.FlushCache));
        Assert.True(machine.Memory.TryWrite(AhciMachine.Header(0), new CommandHeader { Flags = (CommandHeaderFlags)5, CommandTable = 0xFFFF_FFFF_FFFF_FF80 }));
        Assert.Equal(PortInterrupt.HBFS, machine.Run(slots: 1));
        machine.Recover();

        machine.Port(PortRegister.PxFBU, 0x77);
        Assert.Equal(PortInterrupt.HBFS, machine.Run(AhciMachine.Fis(AtaCommand.FlushCache)));
        machine.Port(PortRegister.PxFBU, 0);
        machine.Recover();

        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.FlushCache)));
    }

    [Fact]
    public void An_invalid_command_FIS_is_an_interface_error()
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        var wrongType = AhciMachine.Fis(AtaCommand.FlushCache) with { Type = FisType.RegisterD2H };
        Assert.Equal(PortInterrupt.IFS, machine.Run(wrongType));
        machine.Recover();
        var multiplied = AhciMachine.Fis(AtaCommand.FlushCache) with { Flags = FisFlags.C | (FisFlags)1 };
        Assert.Equal(PortInterrupt.IFS, machine.Run(multiplied));
        machine.Recover();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.FlushCache));
        Assert.True(machine.Memory.TryWrite(AhciMachine.Header(0), (ushort)4));
        Assert.Equal(PortInterrupt.IFS, machine.Run(slots: 1));
    }

    [Fact]
    public void After_an_error_the_port_stops_until_ST_is_cleared_and_CCS_names_the_failed_command()
    {
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        machine.Prepare(3, AhciMachine.Fis(AtaCommand.FlushCache));
        machine.Prepare(4, AhciMachine.Fis((AtaCommand)0xFE));
        machine.Prepare(5, AhciMachine.Fis(AtaCommand.FlushCache));
        machine.Run(slots: 0b11_1000);
        Assert.Equal(0b11_0000u, machine.Issued);
        Assert.Equal(4u, (uint)machine.Command >> PortCommandFields.CCSShift & 0x1F);
        Assert.Equal(AtaStatus.Ready | AtaStatus.ERR, machine.Status);

        machine.Prepare(6, AhciMachine.Fis(AtaCommand.FlushCache));
        machine.Issue(1 << 6);
        Assert.Equal(0b111_0000u, machine.Issued);
        Assert.Equal(PortInterrupt.None, machine.Interrupts);

        machine.Recover();
        Assert.Equal(0u, machine.Issued);
        Assert.Equal(PortInterrupt.DHRS, machine.Run(slots: 1 << 6));
    }

    [Fact]
    public void Random_command_structures_never_stop_the_controller()
    {
        var seed = Random.Shared.Next();
        var random = new Random(seed);
        using var machine = Machine(new MemoryPortDriver(1 << 20)).Start();
        for (var round = 0; round < 1500; round++)
        {
            var list = machine.Memory.GetSpan(AhciMachine.CommandList, CommandHeader.SizeInBytes);
            random.NextBytes(list);
            if (random.Next(8) != 0)
            {
                Assert.True(machine.Memory.TryWrite(AhciMachine.Header(0), (ushort)5));
                Assert.True(machine.Memory.TryWrite(AhciMachine.Header(0) + 8, AhciMachine.Table(0)));
            }
            random.NextBytes(machine.Memory.GetSpan(AhciMachine.Table(0), 0x200));
            if (random.Next(8) != 0)
            {
                var commands = Enum.GetValues<AtaCommand>();
                var fis = AhciMachine.Fis(commands[random.Next(commands.Length)], (ulong)random.Next(2100), random.Next(300), (byte)random.Next(256));
                Assert.True(machine.Memory.TryWrite(AhciMachine.Table(0), fis));
            }
            for (var entry = 0; entry < 24; entry += 1 + random.Next(3))
            {
                var prd = new PrdtEntry { Address = A + (ulong)random.Next(1 << 20) * 2, ByteCount = 2 * (1 + random.Next(1 << 15)) };
                Assert.True(machine.Memory.TryWrite(AhciMachine.Table(0) + 0x80 + (ulong)entry * 16, prd));
            }
            // A failed queued command is accepted all the same: it is in PxCI no more.
            if ((machine.Run(slots: 1) & AhciMachine.Errors) != 0 || machine.Issued != 0) machine.Recover();
        }
        machine.Run(AhciMachine.Fis(AtaCommand.ReadLogExt, (ulong)AtaLog.QueuedError, 1), (A, 512));
        Assert.True(new IdentifyData(machine.Identify()).IsIntact, $"seed {seed}");
    }

    private static void ExpectTaskFileError(AhciMachine machine, HostToDeviceFis fis, AtaError error, params (ulong, int)[] pieces) =>
        ExpectTaskFileError(machine, fis, error, AtaStatus.None, pieces);

    private static void ExpectTaskFileError(AhciMachine machine, HostToDeviceFis fis, AtaError error, AtaStatus more, params (ulong, int)[] pieces)
    {
        Assert.Equal(PortInterrupt.TFES | PortInterrupt.DHRS, machine.Run(fis, pieces));
        Assert.Equal((AtaStatus.Ready | AtaStatus.ERR | more, error), (machine.Status, machine.Error));
        Assert.Equal((machine.Status, machine.Error), (machine.ReceivedRegisters().Status, machine.ReceivedRegisters().Error));
        Assert.Equal(1u, machine.Issued);
        machine.Recover();
    }
}
