using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Shunt.Policies;

/// <summary>Every request is primary.</summary>
internal readonly struct AllRequests : IRequestPolicy
{
    public bool IsPrimary(BlockOperation operation, int bytes) => true;
}
