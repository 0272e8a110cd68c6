namespace VmShunt.Guest.Workloads;

/// <summary>The access pattern of a measurement.</summary>
internal enum BenchOperation
{
    RandRead,
    RandWrite,
    Read,
    Write,
}

/// <summary>A measurement.</summary>
/// <param name="Operation">The access pattern.</param>
/// <param name="BlockBytes">Bytes per request.</param>
/// <param name="Depth">Requests or batches in flight.</param>
/// <param name="Seconds">The duration.</param>
/// <param name="FirstSector">The first sector of the range.</param>
/// <param name="Sectors">The sectors of the range.</param>
/// <param name="Requests">The number of requests, instead of a duration; or null.</param>
/// <param name="Batch">Requests per batch; 0: no batches.</param>
/// <param name="IsPolled">Whether each request is a polled call, on its own thread.</param>
internal sealed record BenchPlan(
    BenchOperation Operation, int BlockBytes, int Depth, double Seconds, ulong FirstSector, ulong Sectors, long? Requests = null, int Batch = 0, bool IsPolled = false)
{
    /// <summary>The most requests that a worker has in flight.</summary>
    internal int RequestsPerWorker => Math.Max(1, Batch);

    internal bool Writes => Operation is BenchOperation.RandWrite or BenchOperation.Write;

    internal bool IsRandom => Operation is BenchOperation.RandRead or BenchOperation.RandWrite;
}
