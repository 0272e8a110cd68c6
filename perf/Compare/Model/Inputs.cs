namespace VmShunt.Perf.Compare.Model;

/// <summary>
/// The inputs of a measurement. Two measurements are compared only if all their inputs are equal
/// (<see cref="RequireSame"/>). Every property counts, including those added later.
/// </summary>
internal sealed record Inputs
{
    /// <summary>randread, randwrite, read or write.</summary>
    public required string Operation { get; init; }

    /// <summary>Bytes per request.</summary>
    public required int BlockBytes { get; init; }

    /// <summary>Requests in flight, per guest.</summary>
    public required int Depth { get; init; }

    /// <summary>What backs the disk: memory, null, page cache or O_DIRECT.</summary>
    public required string Medium { get; init; }

    /// <summary>The content of the disk: noise, holes, or nothing.</summary>
    public required string Content { get; init; }

    public required long DiskBytes { get; init; }

    /// <summary>The size of the range that is read or written.</summary>
    public required long RangeBytes { get; init; }

    /// <summary>The program that makes the requests, and how it waits for them.</summary>
    public required string Generator { get; init; }

    /// <summary>Request queues, each with a thread in the guest and one in the device.</summary>
    public int Queues { get; init; } = 1;

    /// <summary>Concurrent guests.</summary>
    public int Guests { get; init; } = 1;

    /// <summary>The duration of one round, without warm-up.</summary>
    public required double Seconds { get; init; }

    /// <summary>Each input that differs, as "Depth: 1 and 32".</summary>
    /// <param name="other">The inputs to compare with.</param>
    /// <param name="allowed">Inputs that may differ.</param>
    internal IReadOnlyList<string> DifferencesFrom(Inputs other, params IReadOnlyList<Allowance> allowed) =>
    [
        .. typeof(Inputs).GetProperties()
            .Where(property => allowed.All(one => one.Input != property.Name))
            .Select(property => (property.Name, Mine: property.GetValue(this), Theirs: property.GetValue(other)))
            .Where(static input => !Equals(input.Mine, input.Theirs))
            .Select(static input => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{input.Name}: {input.Mine} and {input.Theirs}")),
    ];

    /// <exception cref="InputsDifferException">An input differs that may not.</exception>
    internal void RequireSame(string subject, string otherSubject, Inputs other, params IReadOnlyList<Allowance> allowed)
    {
        var differences = DifferencesFrom(other, allowed);
        if (differences.Count > 0)
            throw new InputsDifferException($"{subject} and {otherSubject} are not compared, their inputs differ: {string.Join("; ", differences)}");
    }
}

/// <summary>An input in which two compared measurements may differ, and the reason, which the report prints.</summary>
/// <param name="Input">The name of a property of <see cref="Inputs"/>.</param>
/// <param name="Because">The reason.</param>
internal sealed record Allowance(string Input, string Because);

/// <summary>Two measurements that were to be compared had different inputs.</summary>
internal sealed class InputsDifferException(string message) : Exception(message);
