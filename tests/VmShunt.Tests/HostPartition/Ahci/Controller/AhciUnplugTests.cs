using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.HostPartition.Ahci.Controller;

/// <summary>The disk disappears from the port and appears again, as its driver sees it (AHCI 1.3.1 §3.3).</summary>
public sealed class AhciUnplugTests : IDisposable
{
    private const uint Interrupts = (uint)(PortInterrupt.PRCS | PortInterrupt.PCS);

    private readonly GatedPortDriver _disk = new(1 << 20);
    private readonly AhciMachine _machine;

    public AhciUnplugTests()
    {
        _machine = new AhciMachine(_disk).Start();
        _machine.Hba(HbaRegister.GHC, (uint)(GlobalHostControl.AE | GlobalHostControl.IE));
    }

    public void Dispose()
    {
        _disk.Open(100);
        _machine.Dispose();
    }

    [Fact]
    public void An_unplugged_disk_leaves_an_empty_port_and_an_interrupt()
    {
        _machine.Port(PortRegister.PxIE, Interrupts);
        var levels = _machine.Levels.Length;
        Assert.True(_machine.Controller.Unplug());
        AssertEmpty();
        Assert.Equal(SataLink.DIAG_N, _machine.Port(PortRegister.PxSERR) & SataLink.DIAG_N);
        Assert.Equal(PortInterrupt.PRCS, _machine.Interrupts & PortInterrupt.PRCS);
        Assert.True(_machine.Controller.InterruptLevel, $"{levels} changes before");
        // Neither a reset of the HBA nor one of the link finds it.
        _machine.Hba(HbaRegister.GHC, (uint)(GlobalHostControl.AE | GlobalHostControl.HR));
        _machine.Port(PortRegister.PxSCTL, SataLink.DETReset);
        _machine.Port(PortRegister.PxSCTL, 0);
        AssertEmpty();
    }

    [Fact]
    public void A_disk_that_comes_back_is_a_hot_plug()
    {
        _machine.Port(PortRegister.PxIE, Interrupts);
        _machine.Controller.Unplug();
        _machine.Port(PortRegister.PxSERR, uint.MaxValue);
        Assert.Equal(PortInterrupt.None, _machine.Interrupts & (PortInterrupt)Interrupts);
        _machine.Controller.Plug();
        Assert.Equal((0x133u, SataLink.SignatureAta), (_machine.Port(PortRegister.PxSSTS), _machine.Port(PortRegister.PxSIG)));
        Assert.Equal((SataLink.DIAG_X, PortInterrupt.PCS), (_machine.Port(PortRegister.PxSERR), _machine.Interrupts & (PortInterrupt)Interrupts));
    }

    [Fact]
    public void Commands_in_flight_complete_first_and_later_ones_are_not_executed()
    {
        using var unplugged = new ManualResetEventSlim();
        _machine.Controller.Unplugged = unplugged.Set;
        PrepareReads(0b111);
        _machine.Issue(0b11);
        _disk.AwaitOperation();
        Assert.False(_machine.Controller.Unplug());
        _machine.Issue(0b100);
        Assert.Equal(0x133u, _machine.Port(PortRegister.PxSSTS));
        _disk.Open(2);
        Assert.True(unplugged.Wait(60_000));
        AssertEmpty();
        Assert.Equal((0b100u, 2), (_machine.Issued, _disk.Operations));
    }

    [Fact]
    public void A_reset_while_the_disk_goes_ends_the_wait_for_its_commands()
    {
        var unplugged = 0;
        _machine.Controller.Unplugged = () => unplugged++;
        PrepareReads(1);
        _machine.Issue(1);
        _disk.AwaitOperation();
        Assert.False(_machine.Controller.Unplug());
        _machine.Controller.Reset();
        Assert.Equal(1, unplugged);
        AssertEmpty();
    }

    [Fact]
    public void A_disk_that_comes_back_while_it_goes_stays()
    {
        PrepareReads(1);
        _machine.Issue(1);
        _disk.AwaitOperation();
        Assert.False(_machine.Controller.Unplug());
        _machine.Controller.Plug();
        _disk.Open();
        AhciMachine.WaitUntil(() => _machine.Issued == 0);
        Assert.Equal(0x133u, _machine.Port(PortRegister.PxSSTS));
    }

    // SeaBIOS 1.17 polls PxIS for a FIS, for 32 s.
    [Fact]
    public void A_polling_user_that_still_sends_commands_gets_an_error_at_once()
    {
        _machine.Controller.Unplug();
        PrepareReads(1);
        _machine.Port(PortRegister.PxIE, 0);
        _machine.Issue(1);
        Assert.Equal(PortInterrupt.DHRS, _machine.Interrupts & PortInterrupt.DHRS);
        Assert.Equal((AtaStatus.ERR, AtaError.ABRT), (_machine.ReceivedRegisters().Status & AtaStatus.ERR, _machine.ReceivedRegisters().Error));
        AssertEmpty();
        // It is not executed when the disk is back.
        _machine.Controller.Plug();
        PrepareReads(2);
        Assert.Equal(0, _disk.Operations);
    }

    private void PrepareReads(uint slots)
    {
        for (var slot = 0; slot < 32; slot++)
        {
            if ((slots & 1u << slot) != 0) _machine.Prepare(slot, AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 1), (AhciMachine.Data, 512));
        }
    }

    private void AssertEmpty() =>
        Assert.Equal((0u, 0x7fu, SataLink.SignatureNone), (_machine.Port(PortRegister.PxSSTS), _machine.Port(PortRegister.PxTFD), _machine.Port(PortRegister.PxSIG)));
}
