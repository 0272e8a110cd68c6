namespace VmShunt.Perf.Compare.Model;

/// <summary>
/// What a measurement was given. Two measurements are only set side by side when all of it is the same
/// (<see cref="RequireSame"/>): every property counts, and a new one counts from the day it is added.
/// </summary>
internal sealed record Inputs
{
    /// <summary>randread, randwrite, read or write.</summary>
    public required string Operation { get; init; }

    /// <summary>Bytes a request.</summary>
    public required int BlockBytes { get; init; }

    /// <summary>Requests in flight, of each guest.</summary>
    public required int Depth { get; init; }

    /// <summary>What is behind the disk: memory, null, page cache or O_DIRECT.</summary>
    public required string Medium { get; init; }

    /// <summary>What the disk holds: noise, holes, or nothing.</summary>
    public required string Content { get; init; }

    public required long DiskBytes { get; init; }

    /// <summary>How much of the disk is read or written.</summary>
    public required long RangeBytes { get; init; }

    /// <summary>Who makes the requests, and how it waits for them.</summary>
    public required string Generator { get; init; }

    /// <summary>Request queues, each with a thread of the guest and one of the device.</summary>
    public int Queues { get; init; } = 1;

    /// <summary>Guests at the same time.</summary>
    public int Guests { get; init; } = 1;

    /// <summary>How long one round takes, warm-up left out.</summary>
    public required double Seconds { get; init; }

    /// <summary>Each input that differs, as "depth: 1 and 32".</summary>
    /// <param name="other">What it is held against.</param>
    /// <param name="allowed">Inputs that may differ, each with its reason.</param>
    internal IReadOnlyList<string> DifferencesFrom(Inputs other, params IReadOnlyList<Allowance> allowed) =>
    [
        .. typeof(Inputs).GetProperties()
            .Where(property => allowed.All(one => one.Input != property.Name))
            .Select(property => (property.Name, Mine: property.GetValue(this), Theirs: property.GetValue(other)))
            .Where(static input => !Equals(input.Mine, input.Theirs))
            .Select(static input => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{input.Name}: {input.Mine} and {input.Theirs}")),
    ];

    /// <exception cref="InputsDifferException">Something differs that is not allowed to.</exception>
    internal void RequireSame(string subject, string otherSubject, Inputs other, params IReadOnlyList<Allowance> allowed)
    {
        var differences = DifferencesFrom(other, allowed);
        if (differences.Count > 0)
            throw new InputsDifferException($"{subject} and {otherSubject} are not set side by side, their inputs differ: {string.Join("; ", differences)}");
    }
}

/// <summary>An input that two measurements may differ in, and why they are compared all the same; the report says it.</summary>
/// <param name="Input">The name of a property of <see cref="Inputs"/>.</param>
/// <param name="Because">For the reader of the ratio.</param>
internal sealed record Allowance(string Input, string Because);

/// <summary>What was to be compared did not run with the same inputs.</summary>
internal sealed class InputsDifferException(string message) : Exception(message);
