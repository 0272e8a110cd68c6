using VmShunt.Perf.Compare.Model;

namespace VmShunt.Perf.Compare.Contestants;

/// <summary>Something that is measured in turns with others.</summary>
internal abstract class Contestant(string subject, Inputs inputs)
{
    internal string Subject => subject;

    internal Inputs Inputs => inputs;

    /// <summary>What comes before a turn; by default the same as the turn.</summary>
    internal virtual async Task LeadInAsync(TimeSpan duration) => _ = await MeasureAsync(duration);

    /// <summary>Runs for a while with the inputs, as many turns as it is asked for.</summary>
    internal abstract Task<Sample> MeasureAsync(TimeSpan duration);
}
