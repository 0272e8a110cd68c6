using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;
using VmShunt.Trap.Ahci;
using VmShunt.Trap.VmExit;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>
/// The two forms of a trap: VM-H gets the access alone, or the whole state of the suspended processor, too
/// (<c>--trap-state</c>). A register read and a register write of each, in interleaved rounds, and their bytes.
/// </summary>
internal sealed class TrapStateRow() : Row("trap-state", "a trap with the processor's whole state vs the access alone")
{
    private const string Access = "access", Full = "full";
    private const int Counted = 1000;

    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        await using var rig = new Rig(session);
        var machine = await rig.MachineAsync(DiskPath.Mode(DiskPath.Trap));
        TrapHypervisor access = rig.Hold(await TrapHypervisor.StartAsync(session, machine, Access)), full = rig.Hold(await TrapHypervisor.StartAsync(session, machine, Full));
        ExitContestant Of(TrapHypervisor one, string form, ExitKind kind) =>
            new(session, machine.Host, one.ProcessId, one.Processor, kind, form);
        (ExitContestant Access, ExitContestant Full)[] pairs =
        [
            .. new[] { ExitKind.RegisterRead, ExitKind.RegisterWrite }.Select(kind => (Of(access, Access, kind), Of(full, Full, kind))),
        ];
        var rounds = await Rounds.RunAsync(session, [.. pairs.SelectMany(static pair => new[] { pair.Access, pair.Full })]);
        return Result(
            rounds,
            [
                .. pairs.Select(pair => WithoutTarget(
                    $"{pair.Full.Name}-rate", $"{pair.Full.Name}s with the whole state vs without: exits per second", Better.Higher, rounds.Of(pair.Full), rounds.Of(pair.Access), Iops)),
                Bytes("read", access, full, static processor => processor.ReadMmio(GuestLayout.BarAddress + HbaRegister.VS, 4)),
                Bytes("write", access, full, static processor => processor.WriteMmio(GuestLayout.BarAddress + HbaRegister.VS, 4, 0)),
            ]);
    }

    private Verdict Bytes(string name, TrapHypervisor access, TrapHypervisor full, Action<VirtualProcessor> exit)
    {
        double Each(TrapHypervisor one)
        {
            var before = one.RegisterBytes;
            for (var i = 0; i < Counted; i++) exit(one.Processor);
            return (double)(one.RegisterBytes - before) / Counted;
        }
        double few = Each(access), many = Each(full), ratio = many / few;
        return new Verdict(
            $"{Id}.{name}-bytes", $"register {name} with the whole state vs without: bytes between hypervisor and VM-H", Access, null, new Spread(ratio, ratio, ratio),
            [$"{Verdict.Number(many)} B vs {Verdict.Number(few)} B per trap, request and answer"])
        {
            Better = Better.Lower,
        };
    }
}
