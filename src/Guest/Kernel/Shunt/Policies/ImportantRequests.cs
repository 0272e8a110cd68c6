using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Guest.Shunt.Policies;

/// <summary>By importance: the request types in a list.</summary>
internal readonly struct ImportantRequests(RequestTypes primary) : IRequestPolicy
{
    public bool IsPrimary(BlockOperation operation, int bytes) => primary.Includes(operation);
}
