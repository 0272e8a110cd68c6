using System.Globalization;
using VmShunt.EndToEnd.Processes;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Crash;

/// <summary>
/// From every state and condition a crash leaves a complete and correct dump. The long form runs the whole table, the short
/// one a sample, whose seed VMSHUNT_CRASH_SEED repeats. VMSHUNT_CRASH_TABLE selects cells by any text in their names.
/// </summary>
public sealed class CrashConformanceTests(OwnDisk own, ITestOutputHelper output) : IClassFixture<OwnDisk>, IDisposable
{
    private static readonly int s_seed =
        int.TryParse(Environment.GetEnvironmentVariable("VMSHUNT_CRASH_SEED"), CultureInfo.InvariantCulture, out var seed) ? seed : Environment.TickCount;

    private readonly TestFolder _folder = new();

    public static TheoryData<CrashCell> Cells => Environment.GetEnvironmentVariable("VMSHUNT_CRASH_TABLE") switch
    {
        null or "" => [.. LongForm.IsSelected ? CrashCell.All : CrashCell.Sample(s_seed)],
        var part => [.. CrashCell.All.Where(cell => cell.ToString().Contains(part, StringComparison.Ordinal))],
    };

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Cells), DisableDiscoveryEnumeration = true)]
    public async Task A_crash_leaves_a_complete_and_correct_dump(CrashCell cell)
    {
        output.WriteLine($"VMSHUNT_CRASH_SEED={s_seed}");
        var isHanging = cell.Condition == CrashCell.Hanging;
        var setup = new CrashSetup(
            cell.State == CrashCell.Changing ? "emulating" : cell.State,
            cell.Processors,
            Patience: isHanging ? 2 : 10,
            HeapMegabytes: cell.Condition == "no heap" ? 64 : 0);
        await using var machine = await CrashingMachine.BootAsync(_folder, own.CopyTo(_folder), setup);

        using var held = isHanging ? HeldThreads.Of(machine.Host.Id, cell.State == "emulating" ? "AHCI worker" : "vring 0") : null;
        var inFlight = cell.Condition is "full" or CrashCell.Hanging ? 300 : 32;
        await machine.LoadAsync(2 * inFlight, completes: !isHanging);

        var options = cell.Condition switch
        {
            "scribbled" => " --scribble",
            "no pages" => " --exhaust pages",
            "no heap" => " --exhaust heap",
            "crashes again" => " --again",
            _ => "",
        };
        if (cell.State == CrashCell.Changing) options += " --while-changing-mode";
        var crash = machine.AskAsync($"crash --in-flight {inFlight}{options}");
        if (held is not null)
        {
            // The thread continues its request while the dump is being written.
            await machine.StepAsync("memory hashed and sealed");
            held.Release();
        }
        var answer = await crash;
        Assert.Equal(0, (await Programs.WaitForEndAsync(machine.Guest)).ExitCode);
        Assert.Equal(0, answer.GetProperty("dump").GetProperty("allocatedBytes").GetInt64());
        if (cell.State != CrashCell.Changing) Assert.InRange(answer.GetProperty("inFlight").GetInt32(), inFlight, int.MaxValue);

        // One processor each for boot, interrupts and the crash path, those of the applications, and those of the queue.
        Assert.InRange(await machine.AssertDumpIsCorrectAsync(_folder, setup), 3 + cell.Processors, 24 + cell.Processors);
        LongForm.Keep(nameof(CrashConformanceTests), $"{cell}: the dump is complete and correct");
    }
}
