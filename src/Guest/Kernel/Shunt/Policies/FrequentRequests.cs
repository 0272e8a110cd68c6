using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Guest.Shunt.Policies;

/// <summary>By frequency: the request types that made up at least an eighth of the last window of requests.</summary>
internal readonly struct FrequentRequests(FrequencyMeter meter) : IRequestPolicy
{
    public bool IsPrimary(BlockOperation operation, int bytes) => meter.Count(operation).Includes(operation);
}

/// <summary>
/// Counts requests by type, in windows, and holds the types that were frequent in the last one; none before the first is
/// full. Any thread, without a lock: counts lost between threads do not matter to shares of an eighth.
/// </summary>
/// <param name="candidates">Request types that may be primary.</param>
internal sealed class FrequencyMeter(RequestTypes candidates)
{
    /// <summary>Requests per window.</summary>
    internal const int Window = 512;

    /// <summary>A type is frequent if at least one request in so many has it.</summary>
    internal const int OneIn = 8;

    private readonly int[] _counts = new int[Enum.GetValues<BlockOperation>().Length];
    private int _left = Window;
    private int _frequent;

    /// <summary>The types that are frequent now.</summary>
    internal RequestTypes Frequent => (RequestTypes)Ordered.Load(ref _frequent);

    /// <summary>Counts a request.</summary>
    /// <returns>The types that are frequent now.</returns>
    internal RequestTypes Count(BlockOperation operation)
    {
        ref var count = ref _counts[(int)operation];
        Ordered.Store(ref count, Ordered.Load(ref count) + 1);
        var left = Ordered.Load(ref _left) - 1;
        Ordered.Store(ref _left, left);
        if (left <= 0) Decide();
        return Frequent;
    }

    private void Decide()
    {
        Ordered.Store(ref _left, Window);
        var frequent = RequestTypes.None;
        for (var i = 0; i < _counts.Length; i++)
        {
            if (Ordered.Load(ref _counts[i]) >= Window / OneIn) frequent |= ((BlockOperation)i).Bit();
            Ordered.Store(ref _counts[i], 0);
        }
        Ordered.Store(ref _frequent, (int)(frequent & candidates));
    }
}
