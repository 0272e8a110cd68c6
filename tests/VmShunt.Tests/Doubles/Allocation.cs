namespace VmShunt.Tests.Doubles;

/// <summary>What an operation allocates once it is warm.</summary>
internal static class Allocation
{
    /// <returns>
    /// Bytes of a hundred operations, the least of several such windows: the runtime may allocate on a thread for its own
    /// purposes, but not always again.
    /// </returns>
    internal static long OfHundred(Action operation)
    {
        var least = long.MaxValue;
        for (var window = 0; window < 10 && least > 0; window++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            for (var i = 0; i < 100; i++) operation();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        return least;
    }
}
