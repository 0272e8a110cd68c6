using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Emulating;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Guest.Shunt.Policies;

/// <summary>
/// By effort: requests that move at least <see cref="LargeBytes"/>, and those of a kind that the trap was measured to take
/// long for. What is small and not measured yet takes the trap, and so is measured.
/// </summary>
/// <param name="costs">What port driver-em measured.</param>
/// <param name="candidates">Classes that may be primary at all.</param>
internal readonly struct EffortfulRequests(TrapCosts costs, RequestTypes candidates) : IRequestPolicy
{
    /// <summary>From here on moving the data is what a request costs.</summary>
    internal const int LargeBytes = 4096;

    public bool IsPrimary(BlockOperation operation, int bytes) =>
        candidates.Includes(operation)
        && (bytes >= LargeBytes && operation <= BlockOperation.Write || costs.IsCostly(operation, bytes));
}
