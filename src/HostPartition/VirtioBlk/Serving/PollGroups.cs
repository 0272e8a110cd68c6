using VmShunt.Ring.Notification;

namespace VmShunt.HostPartition.VirtioBlk.Serving;

/// <summary>VM-H's pollers. A ring goes to the one that has the fewest; none has a thread before it has a ring.</summary>
internal sealed class PollGroups : IDisposable
{
    /// <summary>The most there may be.</summary>
    internal const int Most = 64;

    private readonly PollGroup[] _pollers;
    private readonly Lock _assigning = new();

    /// <param name="count">How many; none means that every ring has a thread of its own.</param>
    /// <param name="policy">How they wait.</param>
    internal PollGroups(int count, WaitPolicy policy)
    {
        _pollers = [.. Enumerable.Range(0, count).Select(_ => new PollGroup(policy))];
    }

    /// <summary>Finds a ring a poller. Any thread.</summary>
    /// <returns>Null when there are none.</returns>
    internal PollGroup? TryAssign()
    {
        lock (_assigning)
        {
            var poller = _pollers.MinBy(static poller => poller.Assigned);
            poller?.Assign();
            return poller;
        }
    }

    /// <summary>When every ring was stopped.</summary>
    public void Dispose()
    {
        foreach (var poller in _pollers) poller.Dispose();
    }
}
