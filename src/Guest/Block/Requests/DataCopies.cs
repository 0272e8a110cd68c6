namespace VmShunt.BlockDriver.Requests;

/// <summary>Counts every time that VM-C copies a request's data instead of letting the device reach it: once a copy.</summary>
internal static class DataCopies
{
    private static long s_count;

    internal static long Count => Interlocked.Read(ref s_count);

    internal static void Note() => Interlocked.Increment(ref s_count);
}
