using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Shunt.Policies;

/// <summary>
/// Decides which requests are primary: a shunt diverts them in enlightened mode; secondary requests always trap. Asked once
/// per request, in every mode. Implemented by structs, so that the compiler inlines it; it neither allocates nor locks.
/// </summary>
internal interface IRequestPolicy
{
    bool IsPrimary(BlockOperation operation, int bytes);
}
