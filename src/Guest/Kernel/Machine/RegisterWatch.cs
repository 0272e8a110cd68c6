using System.Diagnostics;

namespace VmShunt.Guest.Machine;

/// <summary>Records accesses to device registers; with an emulated device each is a VM exit. Any thread.</summary>
internal sealed class RegisterWatch
{
    private const int Capacity = 1024;

    private readonly Lock _lock = new();
    private readonly List<RegisterAccess> _accesses = [];

    /// <summary>The first accesses, in the order in which they completed.</summary>
    internal IReadOnlyList<RegisterAccess> Accesses
    {
        get
        {
            lock (_lock) return [.. _accesses];
        }
    }

    /// <summary>Records a completed access.</summary>
    internal void Note(ulong address, bool isWrite, long begun)
    {
        var access = new RegisterAccess(address, isWrite, begun, Stopwatch.GetTimestamp());
        lock (_lock)
        {
            if (_accesses.Count < Capacity) _accesses.Add(access);
        }
    }
}

/// <summary>One access, with its timestamps.</summary>
internal readonly record struct RegisterAccess(ulong Address, bool IsWrite, long Begun, long Ended);
