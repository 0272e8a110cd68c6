using VmShunt.BlockBackend.Disk;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.HostPartition.Ahci.Controller;

/// <summary>The register file, AHCI 1.3.1 §3.1 and §3.3.</summary>
public sealed class AhciRegisterTests : IDisposable
{
    private readonly AhciMachine _machine = new(new MemoryPortDriver(1 << 20));

    public void Dispose() => _machine.Dispose();

    [Theory]
    [InlineData(HbaRegister.CAP, 0xC134_1F00u)] // S64A, SNCQ, SCLO, 6 Gb/s, SAM, 32 slots, 1 port
    [InlineData(HbaRegister.GHC, 0x8000_0000u)]
    [InlineData(HbaRegister.IS, 0u)]
    [InlineData(HbaRegister.PI, 1u)]
    [InlineData(HbaRegister.VS, 0x0001_0301u)]
    [InlineData(HbaRegister.CCC_CTL, 0u)]
    [InlineData(HbaRegister.CCC_PORTS, 0u)]
    [InlineData(HbaRegister.EM_LOC, 0u)]
    [InlineData(HbaRegister.EM_CTL, 0u)]
    [InlineData(HbaRegister.CAP2, 0u)]
    [InlineData(HbaRegister.BOHC, 0u)]
    [InlineData(HbaRegister.Ports + PortRegister.PxCLB, 0u)]
    [InlineData(HbaRegister.Ports + PortRegister.PxFB, 0u)]
    [InlineData(HbaRegister.Ports + PortRegister.PxIS, (uint)PortInterrupt.PCS)]
    [InlineData(HbaRegister.Ports + PortRegister.PxIE, 0u)]
    [InlineData(HbaRegister.Ports + PortRegister.PxCMD, (uint)(PortCommand.SUD | PortCommand.POD))]
    [InlineData(HbaRegister.Ports + PortRegister.PxTFD, 0x0150u)]
    [InlineData(HbaRegister.Ports + PortRegister.PxSIG, 0x0000_0101u)]
    [InlineData(HbaRegister.Ports + PortRegister.PxSSTS, 0x133u)]
    [InlineData(HbaRegister.Ports + PortRegister.PxSCTL, 0u)]
    [InlineData(HbaRegister.Ports + PortRegister.PxSERR, SataLink.DIAG_X)]
    [InlineData(HbaRegister.Ports + PortRegister.PxSACT, 0u)]
    [InlineData(HbaRegister.Ports + PortRegister.PxCI, 0u)]
    [InlineData(HbaRegister.Ports + HbaRegister.PortStride + PortRegister.PxSSTS, 0u)] // an absent port
    public void After_power_on_a_register_holds(int register, uint value) => Assert.Equal(value, _machine.Hba(register));

    [Theory]
    [InlineData(HbaRegister.CAP)]
    [InlineData(HbaRegister.PI)]
    [InlineData(HbaRegister.VS)]
    [InlineData(HbaRegister.CAP2)]
    [InlineData(HbaRegister.Ports + PortRegister.PxTFD)]
    [InlineData(HbaRegister.Ports + PortRegister.PxSIG)]
    [InlineData(HbaRegister.Ports + PortRegister.PxSSTS)]
    [InlineData(HbaRegister.Ports + PortRegister.PxSACT)]
    public void A_read_only_register_does_not_change(int register)
    {
        var before = _machine.Hba(register);
        _machine.Hba(register, ~before);
        Assert.Equal(before, _machine.Hba(register));
    }

    [Theory]
    [InlineData(PortRegister.PxCLB, 0xFFFF_FC00u)]
    [InlineData(PortRegister.PxCLBU, 0xFFFF_FFFFu)]
    [InlineData(PortRegister.PxFB, 0xFFFF_FF00u)]
    [InlineData(PortRegister.PxFBU, 0xFFFF_FFFFu)]
    [InlineData(PortRegister.PxIE, 0xFDC0_00FFu)]
    public void A_writable_register_keeps_the_bits_it_has(int register, uint bits)
    {
        _machine.Port(register, uint.MaxValue);
        Assert.Equal(bits, _machine.Port(register));
        _machine.Port(register, 0);
        Assert.Equal(0u, _machine.Port(register));
    }

    [Fact]
    public void GHC_keeps_IE_and_AE_stays_set()
    {
        _machine.Hba(HbaRegister.GHC, (uint)GlobalHostControl.IE);
        Assert.Equal((uint)(GlobalHostControl.IE | GlobalHostControl.AE), _machine.Hba(HbaRegister.GHC));
        _machine.Hba(HbaRegister.GHC, 0);
        Assert.Equal((uint)GlobalHostControl.AE, _machine.Hba(HbaRegister.GHC));
    }

    [Fact]
    public void FR_and_CR_follow_FRE_and_ST()
    {
        const PortCommand always = PortCommand.SUD | PortCommand.POD;
        _machine.Port(PortRegister.PxCMD, (uint)PortCommand.FRE);
        Assert.Equal(always | PortCommand.FRE | PortCommand.FR, _machine.Command);
        _machine.Port(PortRegister.PxCMD, (uint)(PortCommand.FRE | PortCommand.ST));
        Assert.Equal(always | PortCommand.FRE | PortCommand.FR | PortCommand.ST | PortCommand.CR, _machine.Command);
        _machine.Port(PortRegister.PxCMD, (uint)PortCommand.CLO);
        Assert.Equal(always, _machine.Command);
    }

    [Fact]
    public void PxIS_PCS_clears_when_the_driver_clears_DIAG_X_in_PxSERR()
    {
        _machine.Port(PortRegister.PxIS, uint.MaxValue);
        Assert.Equal(PortInterrupt.PCS, _machine.Interrupts);
        _machine.Port(PortRegister.PxSERR, SataLink.DIAG_N);
        Assert.Equal(PortInterrupt.PCS, _machine.Interrupts);
        _machine.Port(PortRegister.PxSERR, SataLink.DIAG_X);
        Assert.Equal(PortInterrupt.None, _machine.Interrupts);
    }

    [Fact]
    public void PxCI_stays_0_while_ST_is_clear()
    {
        _machine.Issue(uint.MaxValue);
        Assert.Equal(0u, _machine.Issued);
    }

    [Fact]
    public void CCS_names_the_last_issued_slot_and_is_0_after_ST_is_cleared()
    {
        _machine.Start();
        _machine.Prepare(5, AhciMachine.Fis(AtaCommand.FlushCache));
        _machine.Run(slots: 1 << 5);
        Assert.Equal(5u, (uint)_machine.Command >> PortCommandFields.CCSShift & 0x1F);
        _machine.Port(PortRegister.PxCMD, (uint)PortCommand.FRE);
        Assert.Equal(0u, (uint)_machine.Command >> PortCommandFields.CCSShift & 0x1F);
    }

    [Fact]
    public void While_FRE_is_clear_no_FIS_is_written_to_memory()
    {
        _machine.Start();
        _machine.Memory.GetSpan(AhciMachine.FisArea, ReceivedFis.SizeInBytes).Clear();
        _machine.Port(PortRegister.PxCMD, (uint)PortCommand.ST);
        _machine.Prepare(0, AhciMachine.Fis(AtaCommand.FlushCache));
        _machine.Run(slots: 1);
        Assert.Equal(0u, _machine.Issued);
        Assert.Equal(-1, _machine.Memory.GetSpan(AhciMachine.FisArea, ReceivedFis.SizeInBytes).IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public void The_signature_frame_is_posted_when_FRE_is_set_and_only_once()
    {
        _machine.Port(PortRegister.PxFB, (uint)AhciMachine.FisArea);
        _machine.Port(PortRegister.PxCMD, (uint)PortCommand.FRE);
        var fis = _machine.ReceivedRegisters();
        Assert.Equal(FisType.RegisterD2H, fis.Type);
        Assert.Equal(FisFlags.None, fis.Flags);
        Assert.Equal((AtaStatus.Ready, AtaError.DiagnosticPassed, 1UL, 1), (fis.Status, fis.Error, fis.Address.Lba, fis.Address.Count));

        _machine.Memory.GetSpan(AhciMachine.FisArea, ReceivedFis.SizeInBytes).Clear();
        _machine.Port(PortRegister.PxCMD, 0);
        _machine.Port(PortRegister.PxCMD, (uint)PortCommand.FRE);
        Assert.Equal(default, _machine.ReceivedRegisters().Type);
    }

    [Fact]
    public void COMRESET_takes_the_link_down_and_brings_it_up_again()
    {
        _machine.Start();
        _machine.Port(PortRegister.PxCMD, (uint)PortCommand.FRE);
        _machine.Port(PortRegister.PxSCTL, SataLink.DETReset);
        Assert.Equal(0u, _machine.Port(PortRegister.PxSSTS));
        Assert.Equal(0x7Fu, _machine.Port(PortRegister.PxTFD));
        Assert.Equal(SataLink.SignatureNone, _machine.Port(PortRegister.PxSIG));
        _machine.Port(PortRegister.PxSCTL, 0);
        Assert.Equal(0x133u, _machine.Port(PortRegister.PxSSTS));
        Assert.Equal(SataLink.SignatureAta, _machine.Port(PortRegister.PxSIG));
        Assert.Equal(PortInterrupt.PCS, _machine.Interrupts);
        Assert.Equal(0x0150u, _machine.Port(PortRegister.PxTFD));
    }

    [Fact]
    public void The_interface_can_be_put_offline()
    {
        _machine.Port(PortRegister.PxSCTL, SataLink.DETDisable);
        Assert.Equal(SataLink.DETOffline, _machine.Port(PortRegister.PxSSTS));
        _machine.Port(PortRegister.PxSCTL, 0);
        Assert.Equal(0x133u, _machine.Port(PortRegister.PxSSTS));
    }

    [Fact]
    public void HBA_reset_keeps_the_base_addresses_and_nothing_else()
    {
        _machine.Start();
        _machine.Hba(HbaRegister.GHC, (uint)GlobalHostControl.HR);
        Assert.Equal((uint)GlobalHostControl.AE, _machine.Hba(HbaRegister.GHC));
        Assert.Equal((uint)AhciMachine.CommandList, _machine.Port(PortRegister.PxCLB));
        Assert.Equal((uint)AhciMachine.FisArea, _machine.Port(PortRegister.PxFB));
        Assert.Equal(0u, _machine.Port(PortRegister.PxIE));
        Assert.Equal(PortCommand.SUD | PortCommand.POD, _machine.Command);
        _machine.Controller.Reset();
        Assert.Equal(0u, _machine.Port(PortRegister.PxCLB));
        Assert.Equal(0u, _machine.Port(PortRegister.PxFB));
    }

    [Fact]
    public void A_byte_written_to_a_register_leaves_the_other_bytes()
    {
        _machine.Port(PortRegister.PxIE, 0x4000_0001);
        _machine.Controller.Write(HbaRegister.Ports + PortRegister.PxIE, [0x20]);
        Assert.Equal(0x4000_0020u, _machine.Port(PortRegister.PxIE));
    }

    [Fact]
    public void A_byte_written_to_a_write_1_to_clear_register_clears_nothing_outside_it()
    {
        _machine.Controller.Write(HbaRegister.Ports + PortRegister.PxSERR, [0xFF]);
        Assert.Equal(SataLink.DIAG_X, _machine.Port(PortRegister.PxSERR));
        _machine.Controller.Write(HbaRegister.Ports + PortRegister.PxSERR + 3, [0xFF]);
        Assert.Equal(0u, _machine.Port(PortRegister.PxSERR));
    }

    [Fact]
    public void An_eight_byte_access_is_two_registers()
    {
        _machine.Controller.Write(HbaRegister.Ports + PortRegister.PxCLB, [0, 0x10, 0, 0, 7, 0, 0, 0]);
        Assert.Equal(0x1000u, _machine.Port(PortRegister.PxCLB));
        Assert.Equal(7u, _machine.Port(PortRegister.PxCLBU));
        var bytes = new byte[8];
        _machine.Controller.Read(HbaRegister.Ports + PortRegister.PxCLB, bytes);
        Assert.Equal([0, 0x10, 0, 0, 7, 0, 0, 0], bytes);
    }

    [Fact]
    public void Every_offset_and_width_reads_what_the_single_bytes_say()
    {
        _machine.Start();
        for (var offset = 0; offset < 0x1100; offset++)
        {
            foreach (var width in (int[])[0, 1, 2, 3, 4, 8, 16])
            {
                var wide = new byte[width];
                _machine.Controller.Read((ulong)offset, wide);
                for (var i = 0; i < width; i++)
                {
                    var single = new byte[1];
                    _machine.Controller.Read((ulong)(offset + i), single);
                    Assert.Equal(single[0], wide[i]);
                }
            }
        }
    }

    [Fact]
    public void Any_sequence_of_writes_leaves_a_controller_that_a_reset_makes_usable()
    {
        var seed = Random.Shared.Next();
        var random = new Random(seed);
        int[] widths = [1, 2, 4, 8];
        for (var i = 0; i < 40_000; i++)
        {
            var bytes = new byte[widths[random.Next(4)]];
            random.NextBytes(bytes);
            var offset = random.Next(4) == 0 ? random.Next(0x1100) : HbaRegister.Ports + random.Next(0x80);
            _machine.Controller.Write((ulong)offset, bytes);
        }
        foreach (var far in (ulong[])[0x1000, ulong.MaxValue, ulong.MaxValue - 3, 1UL << 32, 1UL << 63])
        {
            var bytes = new byte[8];
            _machine.Controller.Write(far, bytes);
            _machine.Controller.Read(far, bytes);
            Assert.Equal(new byte[8], bytes);
        }
        _machine.Controller.Reset();
        _machine.Start();
        Assert.True(new IdentifyData(_machine.Identify()).IsIntact, $"seed {seed}");
    }
}
