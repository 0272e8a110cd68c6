using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.HostPartition.Ahci.Controller;

/// <summary>Hostile changes during a command, accesses to absent ports, and the largest addresses.</summary>
public sealed class AhciHostileTests
{
    private const ulong A = AhciMachine.Data, B = AhciMachine.Data + 0x10_0000;

    [Theory]
    [InlineData("its slot is issued again")]
    [InlineData("its bit in PxCI is written as 0")]
    [InlineData("another command is put into its slot")]
    [InlineData("its header and table are overwritten")]
    [InlineData("the command list moves")]
    [InlineData("the FIS area moves")]
    [InlineData("the interrupts are turned off and on")]
    public void A_command_in_flight_completes_once_as_it_was_issued_whatever_the_guest_changes(string what)
    {
        using var port = new GatedPortDriver(1 << 20);
        using var machine = new AhciMachine(port).Start();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 1), (A, 512));
        machine.Issue(1);
        port.AwaitOperation();
        switch (what)
        {
            case "its slot is issued again":
                for (var i = 0; i < 100; i++) machine.Issue(1);
                break;
            case "its bit in PxCI is written as 0":
                for (var i = 0; i < 100; i++) machine.Issue(0);
                Assert.Equal(1u, machine.Issued);
                break;
            case "another command is put into its slot":
                machine.Prepare(0, AhciMachine.Fis(AtaCommand.ReadDmaExt, 8, 2), (B, 1024));
                break;
            case "its header and table are overwritten":
                machine.Memory.GetSpan(AhciMachine.CommandList, 0x400).Fill(0xFF);
                machine.Memory.GetSpan(AhciMachine.Table(0), 0x100).Fill(0xFF);
                break;
            case "the command list moves":
                machine.Port(PortRegister.PxCLB, 0x8000);
                break;
            case "the FIS area moves":
                machine.Port(PortRegister.PxFB, 0x9000);
                break;
            default:
                machine.Port(PortRegister.PxIE, 0);
                machine.Hba(HbaRegister.GHC, 0);
                machine.Hba(HbaRegister.GHC, (uint)GlobalHostControl.IE);
                machine.Port(PortRegister.PxIE, uint.MaxValue);
                break;
        }
        port.Open();
        AhciMachine.WaitUntil(() => machine.Issued == 0 || (machine.Interrupts & AhciMachine.Errors) != 0);
        Assert.Equal((PortInterrupt.DHRS, 0u, 1), (machine.Interrupts, machine.Issued, port.Operations));
        Assert.Equal(512u, machine.Prdbc());
        Assert.Equal(-1, machine.Memory.GetSpan(A, 512).IndexOfAnyExcept((byte)0xAA));
        Assert.Equal(-1, machine.Memory.GetSpan(B, 1024).IndexOfAnyExcept((byte)0));

        machine.Start();
        port.Open();
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 3, 1), (B, 512)));
    }

    [Fact]
    public void A_FIS_area_that_becomes_invalid_during_a_command_is_a_host_bus_error()
    {
        using var port = new GatedPortDriver(1 << 20);
        using var machine = new AhciMachine(port).Start();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 1), (A, 512));
        machine.Issue(1);
        port.AwaitOperation();
        machine.Port(PortRegister.PxFBU, 0x77);
        port.Open();
        AhciMachine.WaitUntil(() => (machine.Interrupts & PortInterrupt.HBFS) != 0);
        Assert.Equal(1u, machine.Issued);

        machine.Recover();
        machine.Start();
        port.Open();
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 1), (A, 512)));
    }

    [Fact]
    public void ST_toggled_repeatedly_during_a_DMA_leaves_only_the_last_command()
    {
        using var port = new GatedPortDriver(1 << 20);
        using var machine = new AhciMachine(port).Start();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 1), (A, 512));
        machine.Issue(1);
        port.AwaitOperation();
        for (var i = 0; i < 100; i++)
        {
            machine.Port(PortRegister.PxCMD, (uint)PortCommand.FRE);
            machine.Port(PortRegister.PxCMD, (uint)(PortCommand.FRE | PortCommand.ST));
            machine.Prepare(0, AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 1), (B + (ulong)i * 512, 512));
            machine.Issue(1);
        }
        port.Open(2);
        AhciMachine.WaitUntil(() => machine.Issued == 0);
        Assert.Equal((PortInterrupt.DHRS, 2), (machine.Interrupts, port.Operations));
        Assert.Equal(99 * 512, machine.Memory.GetSpan(B, 100 * 512).IndexOf((byte)0xAA));
        Assert.Equal(-1, machine.Memory.GetSpan(A, 512).IndexOf((byte)0xAA));
    }

    [Fact]
    public void Absent_ports_execute_no_command_and_have_no_writable_register()
    {
        using var machine = new AhciMachine(new MemoryPortDriver(1 << 20)).Start();
        machine.Prepare(0, AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 1), (A, 512));
        machine.Memory.GetSpan(A, 512).Fill(0x11);
        for (var port = 1; port < 32; port++)
        {
            machine.Hba(HbaRegister.OfPort(port, PortRegister.PxCLB), (uint)AhciMachine.CommandList);
            machine.Hba(HbaRegister.OfPort(port, PortRegister.PxFB), (uint)AhciMachine.FisArea);
            machine.Hba(HbaRegister.OfPort(port, PortRegister.PxCMD), (uint)(PortCommand.FRE | PortCommand.ST));
            machine.Hba(HbaRegister.OfPort(port, PortRegister.PxCI), uint.MaxValue);
            for (var register = 0; register < HbaRegister.PortStride; register += 4)
            {
                Assert.Equal(0u, machine.Hba(HbaRegister.OfPort(port, register)));
                machine.Hba(HbaRegister.OfPort(port, register), uint.MaxValue);
                Assert.Equal(0u, machine.Hba(HbaRegister.OfPort(port, register)));
            }
        }
        Assert.Equal((0u, 0u), (machine.Hba(HbaRegister.IS), machine.Issued));
        Assert.Equal(-1, machine.Memory.GetSpan(A, 512).IndexOfAnyExcept((byte)0x11));
        Assert.True(new IdentifyData(machine.Identify()).IsIntact);
    }

    [Theory]
    [InlineData(28, 0xFFF_FFFFUL, 1, true)]
    [InlineData(28, 0xFFF_FF00UL, 0, true)]
    [InlineData(28, 0xFFF_FF01UL, 0, false)]
    [InlineData(28, 0xFFF_FFFFUL, 2, false)]
    [InlineData(48, 0xFFFF_FFFF_FFFFUL, 1, true)]
    [InlineData(48, 0xFFFF_FFFF_0000UL, 0, true)]
    [InlineData(48, 0xFFFF_FFFF_0001UL, 0, false)]
    [InlineData(48, 0xFFFF_FFFF_FFFFUL, 2, false)]
    public void The_last_sector_that_a_command_can_name_is_reached_and_none_after_it(int bits, ulong lba, int count, bool isOnDisk)
    {
        var port = new LastSectors((1L << bits) * 512);
        using var machine = new AhciMachine(port).Start();
        var pieces = Enumerable.Range(0, 8).Select(i => (A + (ulong)i * PrdtEntry.MaxBytes, PrdtEntry.MaxBytes)).ToArray();
        var fis = bits == 28 ? AhciMachine.Fis28(AtaCommand.ReadDma, lba, count) : AhciMachine.Fis(AtaCommand.ReadDmaExt, lba, count);
        Assert.Equal(isOnDisk ? PortInterrupt.DHRS : PortInterrupt.DHRS | PortInterrupt.TFES, machine.Run(fis, pieces));
        if (isOnDisk)
        {
            Assert.Equal(port.Bytes, port.End);
            return;
        }
        Assert.Equal((AtaError.IDNF, 0L), (machine.Error, port.End));
        machine.Recover();
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, lba, 1), pieces));
    }

    /// <summary>A disk of any size that transfers no data and records the end of the last read.</summary>
    private sealed class LastSectors(long bytes) : PortDriver
    {
        private readonly NullPortDriver _null = new(bytes);

        internal override string Description => "last sectors";

        internal override long Bytes => _null.Bytes;

        internal override bool IsReadOnly => false;

        /// <summary>The end of the furthest read.</summary>
        internal long End { get; private set; }

        internal override void Read(IoVectors target, long offset) => End = Math.Max(End, offset + target.TotalBytes);

        internal override void Write(IoVectors source, long offset) => _null.Write(source, offset);

        internal override void Flush() => _null.Flush();

        internal override bool TryDiscard(long offset, long bytes) => true;

        internal override void WriteZeroes(long offset, long bytes) => _null.WriteZeroes(offset, bytes);

        public override void Dispose() => _null.Dispose();
    }
}
