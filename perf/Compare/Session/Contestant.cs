using VmShunt.Perf.Compare.Model;

namespace VmShunt.Perf.Compare.Session;

/// <summary>A program or path that is measured in interleaved rounds with others.</summary>
internal abstract class Contestant(string subject, Inputs inputs)
{
    internal string Subject => subject;

    internal Inputs Inputs => inputs;

    /// <summary>Runs before a measurement; by default the same work.</summary>
    internal virtual async Task LeadInAsync(TimeSpan duration) => _ = await MeasureAsync(duration);

    /// <summary>Measures once, for the given time.</summary>
    internal abstract Task<Sample> MeasureAsync(TimeSpan duration);
}
