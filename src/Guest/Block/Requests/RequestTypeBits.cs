using VmShunt.Ring.VirtioBlk;

namespace VmShunt.BlockDriver.Requests;

/// <summary>Relates an operation to its bit in <see cref="RequestTypes"/>: both number the request types in the same order.</summary>
internal static class RequestTypeBits
{
    /// <summary>The operation's bit.</summary>
    internal static RequestTypes Bit(this BlockOperation operation) => (RequestTypes)(1u << (int)operation);

    /// <summary>Whether the set contains the operation.</summary>
    internal static bool Includes(this RequestTypes types, BlockOperation operation) => ((uint)types >> (int)operation & 1) != 0;
}
