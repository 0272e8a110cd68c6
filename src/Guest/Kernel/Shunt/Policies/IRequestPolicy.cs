using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Shunt.Policies;

/// <summary>
/// Which requests are primary: a shunt diverts them in enlightened mode; the others, secondary, always pass down to the trap. Asked once
/// a request, in every mode. Implemented by structs, so that a shunt is compiled with it inside; it allocates and locks nothing.
/// </summary>
internal interface IRequestPolicy
{
    bool IsPrimary(BlockOperation operation, int bytes);
}
