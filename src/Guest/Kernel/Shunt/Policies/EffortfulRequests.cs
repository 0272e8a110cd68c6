using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Requests;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Guest.Shunt.Policies;

/// <summary>
/// By effort: reads and writes of at least <see cref="LargeBytes"/>, and requests whose type and length were measured to be
/// costly on the trap path. Small requests without a measurement trap, and so are measured.
/// </summary>
/// <param name="costs">Latencies that the port driver (emulating) measured.</param>
/// <param name="candidates">Request types that may be primary.</param>
internal readonly struct EffortfulRequests(TrapCosts costs, RequestTypes candidates) : IRequestPolicy
{
    /// <summary>From this length on data transfer dominates the cost of a request.</summary>
    internal const int LargeBytes = 4096;

    public bool IsPrimary(BlockOperation operation, int bytes) =>
        candidates.Includes(operation)
        && (bytes >= LargeBytes && operation <= BlockOperation.Write || costs.IsCostly(operation, bytes));
}
