using System.Globalization;
using VmShunt.Perf.Launch.Model;

namespace VmShunt.Perf.Measure;

/// <summary>What is measured: an operation, its block size and its queue depth.</summary>
/// <param name="Operation">randread, randwrite, read or write.</param>
/// <param name="BlockSize">Bytes per request, a multiple of 512.</param>
/// <param name="QueueDepth">Requests in flight.</param>
/// <param name="Polled">Whether each request is a polled call on a thread of its own.</param>
internal sealed record Workload(string Operation, int BlockSize, int QueueDepth, bool Polled = false)
{
    /// <summary>The workload that a result was measured with.</summary>
    internal static Workload Of(PathResult result) => new(result.Operation, result.BlockSize, result.QueueDepth);

    internal bool Writes => Operation is "randwrite" or "write";

    internal bool Random => Operation is "randread" or "randwrite";

    internal string Title => $"{Operation} {MemorySize.Format(BlockSize)}, depth {QueueDepth}";

    /// <summary>The guest's console command that runs it.</summary>
    internal string Command(string stack, TimeSpan duration, SectorRange range) => string.Create(CultureInfo.InvariantCulture,
        $"bench --stack {stack} --operation {Operation} --block-size {BlockSize} --depth {QueueDepth} --seconds {duration.TotalSeconds:0.###} --first-sector {range.First} --sectors {range.Count}{(Polled ? " --polled" : "")}");

    /// <summary>The same command for a guest with only the enlightened stack.</summary>
    internal string BusCommand(TimeSpan duration, SectorRange range) => Command("enlightened", duration, range);

    /// <summary>The workloads of a launch, with block sizes that fit into the range.</summary>
    internal static IReadOnlyList<Workload> Matrix(bool quick, bool mayWrite, SectorRange range)
    {
        var small = range.Fit(4096);
        List<Workload> matrix = [new("randread", small, 1), new("randread", small, 32), new("read", range.Fit(1 << 20), 4)];
        if (!quick) matrix.Insert(1, new("randread", small, 8));
        if (mayWrite) matrix.Add(new("randwrite", small, 32));
        return matrix;
    }
}

/// <summary>A range of 512-byte sectors of a disk.</summary>
internal readonly record struct SectorRange(long First, long Count)
{
    /// <summary>The given block size, halved until at least one block fits.</summary>
    internal int Fit(int blockSize)
    {
        while (blockSize > 512 && blockSize / 512 > Count) blockSize /= 2;
        return blockSize;
    }
}
