using VmShunt.Ring.Notification;

namespace VmShunt.Ring.Serving;

/// <summary>Poll groups: threads that serve many rings each. A ring is assigned to the group with the fewest rings; a group starts its thread with its first ring.</summary>
public sealed class PollGroups : IDisposable
{
    /// <summary>The most groups.</summary>
    public const int Max = 64;

    private readonly PollGroup[] _groups;
    private readonly Lock _assigning = new();

    /// <summary>Creates the groups, without a thread.</summary>
    /// <param name="count">The number of groups; 0 for a dedicated thread per ring.</param>
    /// <param name="policy">How the groups wait.</param>
    public PollGroups(int count, WaitPolicy policy)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Max);
        _groups = [.. Enumerable.Range(0, count).Select(_ => new PollGroup(policy))];
    }

    /// <summary>Assigns a ring to a group. Any thread.</summary>
    /// <returns>Null when there are no groups.</returns>
    internal PollGroup? TryAssign()
    {
        lock (_assigning)
        {
            var group = _groups.MinBy(static group => group.Assigned);
            group?.Assign();
            return group;
        }
    }

    /// <summary>Only when every ring is stopped.</summary>
    public void Dispose()
    {
        foreach (var group in _groups) group.Dispose();
    }
}
