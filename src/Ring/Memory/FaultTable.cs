namespace VmShunt.Ring.Memory;

/// <summary>
/// The shared memory of this process, as the SIGBUS handler of <see cref="GuardedCopy"/> knows it. Where a page of a region has
/// no file behind it any more, because its owner truncated it, the handler maps private zeros in its place, notes that in the
/// region's entry and shuts down the receiving half of the owner's socket, whose session then ends. Any thread.
/// </summary>
internal static class FaultTable
{
    /// <summary>The size of the table; the handler searches all of it.</summary>
    internal const int Bytes = 0x10000;

    private const int EntryBytes = 32, End = 8, PageBytes = 16, Socket = 24, WasHit = 28;

    // A region that has no entry raises a signal that ends the process, as without this class.
    private const int None = -1;

    // No address is below an end of 0.
    private const ulong Free = ulong.MaxValue;

    private static readonly Lock s_lock = new();

    /// <summary>An empty table.</summary>
    internal static void Clear(MemoryWindow table)
    {
        for (var at = 0; at < Bytes; at += EntryBytes) table.Write(at, Free);
    }

    /// <summary>Adds a mapping.</summary>
    /// <param name="start">Its address.</param>
    /// <param name="bytes">Its size.</param>
    /// <param name="pageBytes">The size of its pages.</param>
    /// <returns>Its entry; −1 where there is no handler, or no room.</returns>
    internal static int Add(nint start, nuint bytes, ulong pageBytes)
    {
        if (GuardedCopy.Faults is not { } table) return None;
        var window = table.Window;
        lock (s_lock)
        {
            for (var at = 0; at < Bytes; at += EntryBytes)
            {
                if (window.Read<ulong>(at) != Free) continue;
                window.Write(at + PageBytes, pageBytes);
                window.Write(at + Socket, None);
                window.Write(at + WasHit, 0);
                // In this order: another thread's handler may read meanwhile, and finds nothing until the last store.
                window.WriteUInt64Release(at, (ulong)start);
                window.WriteUInt64Release(at + End, (ulong)start + bytes);
                return at;
            }
        }
        return None;
    }

    /// <summary>Names the socket of the session that owns the mapping; −1: none any more.</summary>
    internal static void SetSocket(int entry, int descriptor)
    {
        if (entry == None) return;
        lock (s_lock) GuardedCopy.Faults!.Window.Write(entry + Socket, descriptor);
    }

    /// <summary>Whether a page of the mapping had no file behind it.</summary>
    internal static bool IsHit(int entry) => entry != None && GuardedCopy.Faults!.Window.Read<int>(entry + WasHit) != 0;

    /// <summary>Removes a mapping, before it is unmapped.</summary>
    internal static void Remove(int entry)
    {
        if (entry == None) return;
        var window = GuardedCopy.Faults!.Window;
        lock (s_lock)
        {
            window.WriteUInt64Release(entry + End, 0);
            window.WriteUInt64Release(entry, Free);
        }
    }
}
