using System.Diagnostics;
using VmShunt.AhciBackend.Controller;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.HostPartition.Ahci.Controller;

/// <summary>Several queued commands that one Set Device Bits FIS and one interrupt complete: the port, and how many wait for each other.</summary>
public sealed class QueuedCompletionTests : IDisposable
{
    private static readonly long s_microsecond = Stopwatch.Frequency / 1_000_000;

    // For its memory, and its disk.
    private readonly AhciMachine _machine = new(new MemoryPortDriver(1 << 20));
    private readonly DmaGate _gate = new();
    private readonly AhciPort _port;

    public QueuedCompletionTests()
    {
        _port = new AhciPort(_gate, _machine.Disk) { Memory = _machine.Memory };
        _gate.Replace(_machine.Memory);
        _port.Reset();
        _port.Write(PortRegister.PxFB, (uint)AhciMachine.FisArea);
        _port.Write(PortRegister.PxCMD, (uint)(PortCommand.FRE | PortCommand.ST));
    }

    public void Dispose() => _machine.Dispose();

    [Fact]
    public void Held_commands_are_reported_by_one_FIS_and_one_interrupt()
    {
        Execute(1);
        Execute(4);
        Execute(30);
        // The disk has accepted them, and the driver has no sign of their completion.
        Assert.Equal((0u, 0x4000_0012u, PortInterrupt.None), (_port.Read(PortRegister.PxCI), _port.Read(PortRegister.PxSACT), Status));
        Assert.Equal(3, _port.HeldCount);
        Assert.True(_port.Report());
        Assert.Equal((0u, PortInterrupt.SDBS, 0), (_port.Read(PortRegister.PxSACT), Status, _port.HeldCount));
        Assert.Equal("A140500012000040", Convert.ToHexString(_machine.Memory.GetSpan(AhciMachine.FisArea + ReceivedFis.SDBFIS, 8)));
    }

    [Fact]
    public void Overlap_is_a_command_issued_while_another_is_in_flight_or_its_completion_was_not_read()
    {
        Execute(0);
        Assert.False(_port.Report());
        _ = _port.Read(PortRegister.PxSACT);
        Execute(1);
        Assert.False(_port.Report());
        Execute(2);
        Assert.True(_port.Report());
    }

    [Fact]
    public void A_stop_forgets_held_commands()
    {
        Execute(0);
        _port.Write(PortRegister.PxCMD, (uint)PortCommand.FRE);
        Assert.Equal((0, 0u), (_port.HeldCount, _port.Read(PortRegister.PxSACT)));
        Execute(1, started: false);
        Assert.Equal(0, _port.HeldCount);
    }

    [Fact]
    public void A_FIS_area_outside_memory_is_a_host_bus_error_and_ends_the_report()
    {
        Execute(0);
        _port.Write(PortRegister.PxFBU, 0x5000);
        Assert.False(_port.Report());
        Assert.Equal((0, 1u, PortInterrupt.HBFS), (_port.HeldCount, _port.Read(PortRegister.PxSACT), Status));
    }

    [Fact]
    public void A_command_that_is_not_queued_aborts_while_others_are_and_the_log_says_so()
    {
        using var disk = new AtaDisk(_machine.Disk, new SharedFlag());
        var data = new PrdtCursor(_gate, 512);
        var alone = disk.Execute(AhciMachine.Fis(AtaCommand.FlushCacheExt), data, outstanding: 0b100);
        Assert.Equal((AtaReport.Register, AtaError.ABRT), (alone.Report, alone.Error));
        // The one after it, too, whether it is queued or not.
        Assert.True(disk.Execute(AhciMachine.Fis(AtaCommand.FlushCacheExt), data, outstanding: 0).Failed);
        Assert.Equal(0x80, TakeLog(disk, data)[0]);
        Assert.False(disk.Execute(AhciMachine.Fis(AtaCommand.FlushCacheExt), data, outstanding: 0).Failed);
    }

    [Fact]
    public void A_tag_that_is_in_use_aborts()
    {
        using var disk = new AtaDisk(_machine.Disk, new SharedFlag());
        var data = new PrdtCursor(_gate, 512);
        var fis = AhciMachine.Fis(AtaCommand.ReadFpdmaQueued, 0, 2 << 3, features: 1);
        var result = disk.Execute(fis, data, outstanding: 0b100);
        Assert.Equal((AtaReport.SetDeviceBits, AtaError.ABRT, 2), (result.Report, result.Error, result.Address.Tag));
        Assert.Equal(2, TakeLog(disk, data)[0]);
    }

    [Fact]
    public void One_command_at_a_time_is_always_reported_at_once()
    {
        var gathering = new CompletionGathering();
        for (var i = 0; i < 10_000; i++)
        {
            Assert.Equal(GatheringStep.Report, gathering.Next(1, hasWork: false, (i + 1) * s_microsecond));
            gathering.Reported(1, overlapped: false);
        }
        Assert.Equal(1, gathering.Goal);
    }

    [Fact]
    public void A_driver_with_many_commands_in_flight_gets_sixteen_of_them_at_once()
    {
        var gathering = new CompletionGathering();
        long now = 1;
        var reports = 0;
        for (var held = 0; reports < 40; now += 20 * s_microsecond)
        {
            held++;
            if (gathering.Next(held, hasWork: false, now) != GatheringStep.Report) continue;
            Assert.Equal(gathering.Goal, held);
            gathering.Reported(held, overlapped: true);
            held = 0;
            reports++;
        }
        Assert.Equal(CompletionGathering.Most, gathering.Goal);
    }

    [Fact]
    public void Commands_that_stay_away_lower_the_goal_and_make_its_growth_rarer()
    {
        var gathering = Grown();
        // Six commands in flight.
        Assert.Equal(GatheringStep.WaitBriefly, gathering.Next(6, hasWork: false, 1));
        gathering.TimeOut();
        gathering.Reported(6, overlapped: true);
        Assert.Equal(6, gathering.Goal);
        var reports = 0;
        for (; gathering.Goal == 6; reports++) gathering.Reported(6, overlapped: true);
        gathering.TimeOut();
        gathering.Reported(6, overlapped: true);
        var later = 0;
        for (; gathering.Goal == 6; later++) gathering.Reported(6, overlapped: true);
        Assert.Equal(2 * reports, later);
        // One at a time from here on: it waits no more.
        gathering.TimeOut();
        gathering.Reported(1, overlapped: false);
        Assert.Equal(GatheringStep.Report, gathering.Next(1, hasWork: false, 1));
    }

    [Fact]
    public void A_brief_wait_ends_with_a_quarter_of_the_goal_or_with_what_completes_it()
    {
        Assert.Equal(1, new CompletionGathering().WakeAt(1));
        var gathering = Grown();
        Assert.Equal(CompletionGathering.Most / 4, gathering.WakeAt(1));
        Assert.Equal(2, gathering.WakeAt(CompletionGathering.Most - 2));
    }

    [Fact]
    public void A_slow_driver_has_longer_to_issue_the_next_command()
    {
        var gathering = Grown();
        Assert.Equal(1, gathering.Milliseconds);
        var now = 1000 * s_microsecond;
        var held = 0;
        // A command every millisecond: the first ones teach the pace.
        for (var i = 0; i < 40; i++, now += 1000 * s_microsecond)
        {
            Assert.Equal(GatheringStep.Run, gathering.Next(held, hasWork: true, now));
            var step = gathering.Next(++held, hasWork: false, now + s_microsecond);
            if (step == GatheringStep.WaitBriefly) continue;
            gathering.Reported(held, overlapped: true);
            held = 0;
        }
        Assert.InRange(gathering.Milliseconds, 4, 5);
        for (var i = 0; i < 16 * CompletionGathering.Most && gathering.Goal < CompletionGathering.Most; i++) gathering.Reported(gathering.Goal, overlapped: true);
        for (held = 1; held < CompletionGathering.Most; held++, now += 1000 * s_microsecond)
            Assert.Equal(GatheringStep.WaitBriefly, gathering.Next(held, hasWork: false, now));
        Assert.Equal(GatheringStep.Report, gathering.Next(held, hasWork: false, now));
    }

    [Fact]
    public void No_command_is_held_for_longer_than_two_milliseconds_while_others_trickle_in()
    {
        var gathering = Grown();
        Assert.Equal(GatheringStep.WaitBriefly, gathering.Next(1, hasWork: false, s_microsecond));
        Assert.Equal(GatheringStep.WaitBriefly, gathering.Next(2, hasWork: false, 900 * s_microsecond));
        Assert.Equal(GatheringStep.WaitBriefly, gathering.Next(3, hasWork: false, 1900 * s_microsecond));
        Assert.Equal(GatheringStep.Report, gathering.Next(4, hasWork: false, 2100 * s_microsecond));
        gathering.Reported(4, overlapped: true);
        Assert.Equal(4, gathering.Goal);
    }

    [Fact]
    public void A_slow_disk_reports_what_it_has_between_two_commands()
    {
        var gathering = Grown();
        Assert.Equal(GatheringStep.Run, gathering.Next(0, hasWork: true, 1));
        Assert.Equal(GatheringStep.Run, gathering.Next(1, hasWork: true, 150 * s_microsecond));
        Assert.Equal(GatheringStep.Report, gathering.Next(2, hasWork: true, 300 * s_microsecond));
        gathering.Reported(2, overlapped: true);
        Assert.Equal(CompletionGathering.Most, gathering.Goal);
        Assert.Equal(GatheringStep.Run, gathering.Next(0, hasWork: true, 301 * s_microsecond));
    }

    private PortInterrupt Status => (PortInterrupt)_port.Read(PortRegister.PxIS) & ~PortInterrupt.PCS;

    private static CompletionGathering Grown()
    {
        var gathering = new CompletionGathering();
        while (gathering.Goal < CompletionGathering.Most) gathering.Reported(gathering.Goal, overlapped: true);
        gathering.Reported(gathering.Goal, overlapped: true);
        return gathering;
    }

    private void Execute(int tag, bool started = true)
    {
        _port.Write(PortRegister.PxSACT, 1u << tag);
        _port.Write(PortRegister.PxCI, 1u << tag);
        Assert.Equal(started, _port.TryStartNext(out var command));
        if (!started) return;
        var address = new AtaAddress { Count = (ushort)(tag << 3) };
        _port.Complete(command, new AhciOutcome(PortInterrupt.None, AtaResult.Good(address) with { Report = AtaReport.SetDeviceBits }, 512, false));
    }

    private byte[] TakeLog(AtaDisk disk, PrdtCursor data)
    {
        Assert.True(_machine.Memory.TryWrite(AhciMachine.Tables, new PrdtEntry { Address = AhciMachine.Data, ByteCount = 512 }));
        data.Start(AhciMachine.Tables, 1);
        Assert.False(disk.Execute(AhciMachine.Fis(AtaCommand.ReadLogExt, (ulong)AtaLog.QueuedError, 1), data, outstanding: 0).Failed);
        return _machine.Memory.GetSpan(AhciMachine.Data, 512).ToArray();
    }
}
