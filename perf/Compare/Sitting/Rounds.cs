using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;

namespace VmShunt.Perf.Compare.Sitting;

/// <summary>What the rounds of a row gave.</summary>
internal sealed record RoundsResult(IReadOnlyList<Measurement> Measurements, IReadOnlyList<Yardstick> Calibration)
{
    internal Yardstick Yardstick(string name) => Calibration.First(one => one.Name == name);

    internal Measurement Of(Contestant contestant) => Measurements.First(one => one.Subject == contestant.Subject && one.Inputs == contestant.Inputs);
}

/// <summary>Measures contestants in turns (A B C, C B A, …) with the calibration before each round, so that a slow moment meets all of them.</summary>
internal static class Rounds
{
    /// <param name="session">The sitting.</param>
    /// <param name="contestants">In the order of their turns.</param>
    /// <param name="rounds">How many; by default what the sitting says.</param>
    /// <param name="warmUp">Before the first round, for each subject's further contestants; by default as for its first.</param>
    /// <param name="turn">How long each turn takes, as the contestants' inputs say; by default what the sitting says.</param>
    internal static async Task<RoundsResult> RunAsync(
        CompareSession session, IReadOnlyList<Contestant> contestants, int? rounds = null, TimeSpan? warmUp = null, TimeSpan? turn = null)
    {
        var options = session.Options;
        var known = new HashSet<string>();
        foreach (var contestant in contestants)
            await contestant.LeadInAsync(known.Add(contestant.Subject) ? options.WarmUp : warmUp ?? options.WarmUp);
        var samples = contestants.Select(static _ => new List<Sample>()).ToArray();
        var calibration = new List<CalibrationPoint>();
        var duration = turn ?? options.Turn;
        var order = Enumerable.Range(0, contestants.Count);
        for (var round = 0; round < (rounds ?? options.Rounds); round++)
        {
            calibration.Add(session.Calibration.Take());
            // There and back, so that it is nobody's lot to follow the same one each time.
            foreach (var i in round % 2 == 0 ? order : order.Reverse()) samples[i].Add(await TurnAsync(session, contestants[i], duration));
        }
        return new RoundsResult(
            [.. contestants.Select((contestant, i) => new Measurement(contestant.Subject, contestant.Inputs, samples[i]))],
            CalibrationPoint.Yardsticks(calibration));
    }

    private static async Task<Sample> TurnAsync(CompareSession session, Contestant contestant, TimeSpan duration)
    {
        session.Cancel.ThrowIfCancellationRequested();
        // With the same work: processes that have just been let go on find their cores and caches again.
        await contestant.LeadInAsync(duration / 3);
        var watch = new ForeignCpu();
        var sample = await contestant.MeasureAsync(duration);
        return sample with { ForeignCpu = watch.Share() };
    }
}
