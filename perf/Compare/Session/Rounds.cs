using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Session;

/// <summary>The results of a row's rounds.</summary>
internal sealed record RoundsResult(IReadOnlyList<Measurement> Measurements, IReadOnlyList<Yardstick> Calibration)
{
    internal Yardstick Yardstick(string name) => Calibration.First(one => one.Name == name);

    internal Measurement Of(Contestant contestant) => Measurements.First(one => one.Subject == contestant.Subject && one.Inputs == contestant.Inputs);
}

/// <summary>Measures contestants in interleaved rounds (A B C, C B A, …), each after a calibration, so that a slow moment of the machine affects all of them.</summary>
internal static class Rounds
{
    /// <param name="session">The run.</param>
    /// <param name="contestants">In the order of the first round.</param>
    /// <param name="rounds">The number of rounds; null for the default.</param>
    /// <param name="warmUp">The warm-up of a subject's further contestants; null for that of its first.</param>
    /// <param name="turn">The duration of each measurement, as in the contestants' inputs; null for the default.</param>
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
            // Alternating order, so that no contestant always follows the same one.
            foreach (var i in round % 2 == 0 ? order : order.Reverse()) samples[i].Add(await MeasureAsync(session, contestants[i], duration));
        }
        return new RoundsResult(
            [.. contestants.Select((contestant, i) => new Measurement(contestant.Subject, contestant.Inputs, samples[i]))],
            CalibrationPoint.Yardsticks(calibration));
    }

    private static async Task<Sample> MeasureAsync(CompareSession session, Contestant contestant, TimeSpan duration)
    {
        session.Cancel.ThrowIfCancellationRequested();
        // The same work first: a process that was stopped (SIGSTOP) starts with cold caches.
        await contestant.LeadInAsync(duration / 3);
        var watch = new ForeignCpu();
        var sample = await contestant.MeasureAsync(duration);
        return sample with { ForeignCpu = watch.Share() };
    }
}
