using VmShunt.BlockBackend.Disk;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.HostPartition.Ahci.Controller;

/// <summary>IS, PxIS and the level of the interrupt line (AHCI 1.3.1 §10.6).</summary>
public sealed class AhciInterruptTests : IDisposable
{
    private readonly AhciMachine _machine = new AhciMachine(new MemoryPortDriver(1 << 20)).Start();

    public void Dispose() => _machine.Dispose();

    [Fact]
    public void A_completion_raises_the_line_and_clearing_PxIS_then_IS_lowers_it()
    {
        Complete();
        Assert.Equal([true], _machine.Levels);
        Assert.Equal(1u, _machine.Hba(HbaRegister.IS));
        _machine.Port(PortRegister.PxIS, (uint)PortInterrupt.DHRS);
        Assert.True(_machine.Controller.InterruptLevel);
        _machine.Hba(HbaRegister.IS, 1);
        Assert.Equal([true, false], _machine.Levels);
        Assert.Equal(0u, _machine.Hba(HbaRegister.IS));
    }

    [Fact]
    public void Clearing_IS_while_the_port_requests_an_interrupt_makes_a_new_edge()
    {
        Complete();
        _machine.Hba(HbaRegister.IS, 1);
        Assert.Equal([true, false, true], _machine.Levels);
        Assert.Equal(1u, _machine.Hba(HbaRegister.IS));
    }

    [Fact]
    public void An_interrupt_that_is_not_acknowledged_stays_and_is_raised_once()
    {
        Complete();
        Complete();
        Complete();
        Assert.Equal([true], _machine.Levels);
    }

    [Fact]
    public void A_bit_that_PxIE_masks_does_not_reach_IS_until_it_is_enabled()
    {
        _machine.Port(PortRegister.PxIE, (uint)(PortInterrupt.All & ~PortInterrupt.DHRS));
        Complete();
        Assert.Equal(PortInterrupt.DHRS, _machine.Interrupts);
        Assert.Equal(0u, _machine.Hba(HbaRegister.IS));
        Assert.Empty(_machine.Levels);
        _machine.Port(PortRegister.PxIE, (uint)PortInterrupt.DHRS);
        Assert.Equal([true], _machine.Levels);
    }

    [Fact]
    public void GHC_IE_gates_the_line_and_not_IS()
    {
        _machine.Hba(HbaRegister.GHC, 0);
        Complete();
        Assert.Equal(1u, _machine.Hba(HbaRegister.IS));
        Assert.Empty(_machine.Levels);
        _machine.Hba(HbaRegister.GHC, (uint)GlobalHostControl.IE);
        _machine.Hba(HbaRegister.GHC, 0);
        Assert.Equal([true, false], _machine.Levels);
    }

    [Fact]
    public void A_reset_lowers_the_line()
    {
        Complete();
        _machine.Hba(HbaRegister.GHC, (uint)GlobalHostControl.HR);
        Assert.Equal([true, false], _machine.Levels);
        _machine.Start();
        Complete();
        _machine.Controller.Reset();
        Assert.Equal([true, false, true, false], _machine.Levels);
    }

    [Fact]
    public void Bits_of_PxIS_and_IS_clear_only_where_1_is_written()
    {
        Complete();
        _machine.Prepare(0, AhciMachine.Fis(AtaCommand.ReadSectorsExt, 0, 1), (AhciMachine.Data, 512));
        _machine.Issue(1);
        AhciMachine.WaitUntil(() => _machine.Issued == 0);
        _machine.Port(PortRegister.PxIS, 0);
        _machine.Hba(HbaRegister.IS, ~1u);
        Assert.Equal((PortInterrupt.DHRS | PortInterrupt.PSS, 1u), (_machine.Interrupts, _machine.Hba(HbaRegister.IS)));
        _machine.Port(PortRegister.PxIS, (uint)PortInterrupt.DHRS);
        Assert.Equal(PortInterrupt.PSS, _machine.Interrupts);
        _machine.Port(PortRegister.PxIS, (uint)PortInterrupt.PSS);
        // The port does not set the bit again.
        _machine.Hba(HbaRegister.IS, ~1u);
        Assert.Equal(1u, _machine.Hba(HbaRegister.IS));
        _machine.Hba(HbaRegister.IS, 1);
        Assert.Equal((PortInterrupt.None, 0u), (_machine.Interrupts, _machine.Hba(HbaRegister.IS)));
    }

    [Fact]
    public void Data_PRDBC_and_the_D2H_FIS_are_in_memory_when_the_interrupt_rises()
    {
        AhciMachine? machine = null;
        (FisType Type, AtaStatus Status, uint Transferred, byte Data) seen = default;
        using var disk = machine = new AhciMachine(new MemoryPortDriver(1 << 20), onInterruptLevel: level =>
        {
            if (level) seen = (machine!.ReceivedRegisters().Type, machine.ReceivedRegisters().Status, machine.Prdbc(), machine.Memory.GetSpan(AhciMachine.Data, 1)[0]);
        }).Start();
        machine.Memory.GetSpan(AhciMachine.FisArea, ReceivedFis.SizeInBytes).Clear();
        machine.Memory.GetSpan(AhciMachine.Data, 512).Fill(0x11);
        Assert.Equal(PortInterrupt.DHRS, machine.Run(AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 1), (AhciMachine.Data, 512)));
        Assert.Equal((FisType.RegisterD2H, AtaStatus.Ready, 512u, (byte)0), seen);
    }

    [Fact]
    public void A_descriptor_with_the_I_bit_sets_DPS()
    {
        _machine.Prepare(0, AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 1), (AhciMachine.Data, 512));
        Assert.True(_machine.Memory.TryWrite(
            AhciMachine.Table(0) + CommandTable.PRDT,
            new PrdtEntry { Address = AhciMachine.Data, ByteCount = 512, Interrupt = true }));
        Assert.Equal(PortInterrupt.DHRS | PortInterrupt.DPS, _machine.Run(slots: 1));
    }

    [Fact]
    public void A_connect_change_interrupts_while_it_is_enabled()
    {
        _machine.Port(PortRegister.PxSCTL, SataLink.DETReset);
        _machine.Port(PortRegister.PxSCTL, 0);
        Assert.Equal([true], _machine.Levels);
        Assert.Equal(PortInterrupt.PCS, _machine.Interrupts);
    }

    private void Complete()
    {
        _machine.Prepare(0, AhciMachine.Fis(AtaCommand.FlushCache));
        _machine.Issue(1);
        AhciMachine.WaitUntil(() => _machine.Issued == 0);
    }
}
