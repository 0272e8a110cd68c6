using VmShunt.Guest.Block;

namespace VmShunt.Guest.Shunt.Policies;

/// <summary>By importance: the classes that a list names.</summary>
internal readonly struct ImportantRequests(PrimaryRequests primary) : IRequestPolicy
{
    public bool IsPrimary(BlockOperation operation, int bytes) => ((int)primary >> (int)operation & 1) != 0;
}
