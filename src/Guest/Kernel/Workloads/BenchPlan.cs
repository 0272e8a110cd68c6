namespace VmShunt.Guest.Workloads;

/// <summary>What a measurement does.</summary>
internal enum BenchOperation
{
    RandRead,
    RandWrite,
    Read,
    Write,
}

/// <summary>One measurement.</summary>
/// <param name="Operation">Which requests.</param>
/// <param name="BlockBytes">Bytes a request.</param>
/// <param name="Depth">Requests in flight, or batches.</param>
/// <param name="Seconds">How long.</param>
/// <param name="FirstSector">Where the range starts.</param>
/// <param name="Sectors">How long the range is.</param>
/// <param name="Requests">How many requests, instead of a time; null for the time.</param>
/// <param name="Batch">How many requests are handed over and awaited together; 0: each by itself.</param>
/// <param name="IsPolled">Whether each request is a call that polls, on a thread of its own.</param>
internal sealed record BenchPlan(
    BenchOperation Operation, int BlockBytes, int Depth, double Seconds, ulong FirstSector, ulong Sectors, long? Requests = null, int Batch = 0, bool IsPolled = false)
{
    /// <summary>Requests that a worker has in flight at most.</summary>
    internal int Together => Math.Max(1, Batch);

    internal bool Writes => Operation is BenchOperation.RandWrite or BenchOperation.Write;

    internal bool IsRandom => Operation is BenchOperation.RandRead or BenchOperation.RandWrite;
}
