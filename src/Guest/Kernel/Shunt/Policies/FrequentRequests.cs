using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Guest.Shunt.Policies;

/// <summary>By frequency: the classes that made up at least an eighth of the last window of requests.</summary>
internal readonly struct FrequentRequests(FrequencyMeter meter) : IRequestPolicy
{
    public bool IsPrimary(BlockOperation operation, int bytes) => meter.Count(operation).Includes(operation);
}

/// <summary>
/// Counts requests by class, in windows, and holds which classes the last window found frequent; before the first is full,
/// none. Threads count without a lock: a count that is lost between two of them shifts no share that matters.
/// </summary>
/// <param name="candidates">Classes that may be primary at all.</param>
internal sealed class FrequencyMeter(RequestTypes candidates)
{
    /// <summary>Requests a window.</summary>
    internal const int Window = 512;

    /// <summary>A class is frequent if it is at least one request in so many.</summary>
    internal const int OneIn = 8;

    private readonly int[] _counts = new int[Enum.GetValues<BlockOperation>().Length];
    private int _left = Window;
    private RequestTypes _frequent;

    /// <summary>The classes that are frequent now.</summary>
    internal RequestTypes Frequent => _frequent;

    /// <summary>Counts a request.</summary>
    /// <returns>The classes that are frequent now.</returns>
    internal RequestTypes Count(BlockOperation operation)
    {
        _counts[(int)operation]++;
        if (--_left <= 0) Decide();
        return _frequent;
    }

    private void Decide()
    {
        _left = Window;
        var frequent = RequestTypes.None;
        for (var i = 0; i < _counts.Length; i++)
        {
            if (_counts[i] >= Window / OneIn) frequent |= ((BlockOperation)i).Bit();
            _counts[i] = 0;
        }
        _frequent = frequent & candidates;
    }
}
