namespace VmShunt.Sandbox;

/// <summary>What the filter does with a system call: a condition on one argument, or none.</summary>
/// <param name="Number">The call's number on x86-64.</param>
/// <param name="Name">Its name.</param>
internal sealed record CallRule(int Number, string Name)
{
    /// <summary>The argument that is looked at, from 0; null: the call is allowed whatever its arguments are.</summary>
    internal int? Argument { get; init; }

    /// <summary>The bits of the argument's lower half that are compared.</summary>
    internal uint Mask { get; init; } = uint.MaxValue;

    /// <summary>The call is allowed if the masked argument is one of these.</summary>
    internal IReadOnlyList<uint> Values { get; init; } = [];

    /// <summary>The argument is an address, whose upper half must be zero, too: a null pointer.</summary>
    internal bool IsAddress { get; init; }

    /// <summary>The error of a call that always fails, so that its caller makes another one, in every mode.</summary>
    internal int? Error { get; init; }
}
