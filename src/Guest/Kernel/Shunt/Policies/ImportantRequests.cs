using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Guest.Shunt.Policies;

/// <summary>By importance: the classes that a list names.</summary>
internal readonly struct ImportantRequests(RequestTypes primary) : IRequestPolicy
{
    public bool IsPrimary(BlockOperation operation, int bytes) => primary.Includes(operation);
}
