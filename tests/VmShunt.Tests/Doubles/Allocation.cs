namespace VmShunt.Tests.Doubles;

/// <summary>The allocation of an operation after warm-up.</summary>
internal static class Allocation
{
    /// <returns>
    /// The bytes of a hundred operations, the minimum of several measurements: the runtime itself sometimes allocates on the
    /// thread.
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
