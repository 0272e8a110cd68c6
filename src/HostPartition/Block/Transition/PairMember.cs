using Microsoft.Extensions.Logging;
using VmShunt.BlockBackend.Log;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Transition;

/// <summary>A session that may belong to a guest with both paths.</summary>
/// <param name="key">The guest's; null: of no known guest.</param>
/// <param name="isHungUp">Whether the peer has closed its end.</param>
internal abstract class PairMember(int? key, Func<bool> isHungUp)
{
    internal int? Key { get; } = key;

    internal Func<bool> IsHungUp { get; } = isHungUp;
}

/// <summary>A session of the trap path.</summary>
internal sealed class TrapMember(GuestPairs pairs, int? key, GuestTransition transition, Func<bool> isHungUp) : PairMember(key, isHungUp), IDisposable
{
    internal GuestTransition Transition { get; } = transition;

    public void Dispose() => pairs.Close(this);
}

/// <summary>A session of the ring path, which reports its driver. Its thread makes the calls.</summary>
internal sealed class RingMember(GuestPairs pairs, int? key, string guest, IRingPath path, Func<bool> isHungUp, ILogger log) : PairMember(key, isHungUp), IDisposable
{
    private GuestTransition? _transition;
    private bool _hasDriver, _wasJoined;
    private string? _unfit;

    internal IRingPath Path { get; } = path;

    /// <summary>The guest's transition; null while the session is of no guest with both paths.</summary>
    internal GuestTransition? Transition
    {
        get => Ordered.Load(ref _transition);
        set => Ordered.Store(ref _transition, value);
    }

    /// <summary>The guest's session of the trap path is known. Under the lock of the pairs.</summary>
    internal void Join(GuestTransition transition)
    {
        if (ReferenceEquals(Transition, transition)) return;
        _wasJoined = true;
        Transition = transition;
        transition.RingOpened(Path, Ordered.Load(ref _hasDriver));
        if (Ordered.Load(ref _unfit) is { } why) transition.TurnOff(why);
    }

    /// <summary>The driver is ready; its rings start afterwards.</summary>
    internal void DriverReady(bool continues)
    {
        Ordered.Store(ref _hasDriver, true);
        if (Transition is { } transition) transition.DriverReady(continues);
        else if (continues && !_wasJoined) log.TrapPathIsGone(guest);
    }

    /// <summary>The device was reset.</summary>
    internal void Reset()
    {
        Ordered.Store(ref _hasDriver, false);
        Transition?.RingReset();
    }

    /// <summary>The front-end lacks what a transition needs.</summary>
    internal void IsUnfit(string why)
    {
        if (Ordered.Load(ref _unfit) is not null) return;
        Ordered.Store(ref _unfit, why);
        Transition?.TurnOff(why);
    }

    public void Dispose() => pairs.Close(this);
}
