using VmShunt.Ring.Memory;

namespace VmShunt.Guest.Requests;

/// <summary>Counts the times that VM-C copies a request's data instead of letting the device access it in place.</summary>
internal static class DataCopies
{
    private static long s_count;

    internal static long Count => Ordered.Load(ref s_count);

    internal static void Note() => Interlocked.Increment(ref s_count);
}
