using System.Diagnostics;

namespace VmShunt.Guest.Machine;

/// <summary>Records accesses to device registers, each of which costs a VM exit where the device is emulated. Any thread.</summary>
internal sealed class RegisterWatch
{
    private const int Most = 1024;

    private readonly Lock _lock = new();
    private readonly List<RegisterAccess> _accesses = [];

    /// <summary>What was recorded, in the order in which the accesses ended.</summary>
    internal IReadOnlyList<RegisterAccess> Accesses
    {
        get
        {
            lock (_lock) return [.. _accesses];
        }
    }

    /// <summary>An access has ended.</summary>
    internal void Note(ulong address, bool isWrite, long begun)
    {
        var access = new RegisterAccess(address, isWrite, begun, Stopwatch.GetTimestamp());
        lock (_lock)
        {
            if (_accesses.Count < Most) _accesses.Add(access);
        }
    }
}

/// <summary>One access, with when it began and ended.</summary>
internal readonly record struct RegisterAccess(ulong Address, bool IsWrite, long Begun, long Ended);
