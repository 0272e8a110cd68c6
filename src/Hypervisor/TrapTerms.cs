using VmShunt.Trap.VfioUser;

namespace VmShunt.Hypervisor;

/// <summary>The terms of every connection to VM-H's registers.</summary>
/// <param name="ResponseTimeout">How long VM-H may take to answer an access before it counts as lost.</param>
/// <param name="State">What VM-H gets of an access.</param>
internal readonly record struct TrapTerms(TimeSpan ResponseTimeout, TrapState State)
{
    /// <summary>What a server that does not take the processor's state lacks, or null.</summary>
    internal string? FindProblem(VfioUserClient client) =>
        State == TrapState.Full && !client.SendsState ? "does not take the processor's state with an access (--trap-state full)" : null;

    /// <exception cref="IOException">The server does not take the processor's state.</exception>
    internal void Require(VfioUserClient client)
    {
        if (FindProblem(client) is { } problem) throw new IOException($"VM-H {problem}");
    }
}
