using VmShunt.Ring.Notification;

namespace VmShunt.BlockBackend.VirtioBlk.Serving;

/// <summary>VM-H's poll groups. A ring is assigned to the group with the fewest rings; a group starts its thread with its first ring.</summary>
internal sealed class PollGroups : IDisposable
{
    /// <summary>The most groups.</summary>
    internal const int Max = 64;

    private readonly PollGroup[] _groups;
    private readonly Lock _assigning = new();

    /// <param name="count">The number of groups; 0 for a dedicated thread per ring.</param>
    /// <param name="policy">How the groups wait.</param>
    internal PollGroups(int count, WaitPolicy policy)
    {
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
