using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Guest.Requests;

/// <summary>Maps an operation to its bit in <see cref="RequestTypes"/>; both number the request types in the same order.</summary>
internal static class RequestTypeBits
{
    internal static RequestTypes Bit(this BlockOperation operation) => (RequestTypes)(1u << (int)operation);

    internal static bool Includes(this RequestTypes types, BlockOperation operation) => ((uint)types >> (int)operation & 1) != 0;
}
