using Microsoft.Extensions.Logging;
using VmShunt.BlockBackend.Log;

namespace VmShunt.BlockBackend.Transition;

/// <summary>
/// Finds the two sessions of a guest: those of one process, if it has no others, or the only ones where both sockets are one
/// guest's. Any thread.
/// </summary>
/// <param name="pairsSockets">Whether both sockets are one guest's.</param>
/// <param name="probeLimit">See <see cref="GuestTransition"/>.</param>
/// <param name="log">For transitions.</param>
/// <param name="time">The clock of the transitions' limits.</param>
internal sealed class GuestPairs(bool pairsSockets, long probeLimit, ILogger log, TimeProvider time)
{
    private readonly Lock _lock = new();
    private readonly List<TrapMember> _traps = [];
    private readonly List<RingMember> _rings = [];

    /// <summary>A session of the trap path has opened.</summary>
    /// <param name="peer">The process of its client; 0 where it is unknown.</param>
    /// <param name="socket">Names the socket in the log.</param>
    /// <param name="path">The trap path.</param>
    /// <param name="isHungUp">Whether the client has closed its end.</param>
    /// <returns>Null when the session is refused.</returns>
    internal TrapMember? OpenTrap(int peer, string socket, ITrapPath path, Func<bool> isHungUp)
    {
        lock (_lock)
        {
            if (IsRefused(_traps, socket)) return null;
            var member = new TrapMember(this, KeyOf(peer, socket), new GuestTransition(path, probeLimit, NameOf(peer), log, time), isHungUp);
            _traps.Add(member);
            Join(member.Key);
            return member;
        }
    }

    /// <summary>A session of the ring path has opened.</summary>
    /// <returns>Null when the session is refused.</returns>
    internal RingMember? OpenRing(int peer, string socket, IRingPath path, Func<bool> isHungUp)
    {
        lock (_lock)
        {
            if (IsRefused(_rings, socket)) return null;
            var member = new RingMember(this, KeyOf(peer, socket), NameOf(peer), path, isHungUp, log);
            _rings.Add(member);
            Join(member.Key);
            return member;
        }
    }

    internal void Close(TrapMember member)
    {
        lock (_lock)
        {
            _traps.Remove(member);
            member.Transition.Dispose();
            foreach (var ring in _rings.Where(ring => ReferenceEquals(ring.Transition, member.Transition))) ring.Transition = null;
        }
    }

    internal void Close(RingMember member)
    {
        lock (_lock)
        {
            _rings.Remove(member);
            member.Transition?.RingClosed(member.Path);
            member.Transition = null;
            // A session that came before this one closed.
            if (member.Key is not null) Join(member.Key);
        }
    }

    private int? KeyOf(int peer, string socket)
    {
        if (pairsSockets) return 0;
        if (peer != 0) return peer;
        log.GuestIsUnknown(socket);
        return null;
    }

    private string NameOf(int peer) => pairsSockets || peer == 0 ? "the guest" : $"the guest of process {peer}";

    private bool IsRefused<T>(List<T> sessions, string socket) where T : PairMember
    {
        if (!pairsSockets || !sessions.Exists(static session => !session.IsHungUp())) return false;
        log.SecondSessionRefused(socket);
        return true;
    }

    private void Join(int? key)
    {
        var traps = key is null ? [] : _traps.FindAll(trap => trap.Key == key && !trap.IsHungUp());
        var rings = key is null ? [] : _rings.FindAll(ring => ring.Key == key && !ring.IsHungUp());
        if (key is null)
        {
            // Of no known guest: as without a transition.
            foreach (var trap in _traps.Where(static trap => trap.Key is null)) trap.Transition.TurnOff("its process is in another PID namespace");
            return;
        }
        if (traps.Count > 1 || rings.Count > 1)
        {
            var why = $"its process has {traps.Count} sessions on the vfio-user socket and {rings.Count} on the vhost-user socket";
            if (traps.Count > 0 && rings.Count > 0)
            {
                foreach (var trap in traps) trap.Transition.TurnOff(why);
            }
            return;
        }
        if (traps is [var only] && rings is [var ring]) ring.Join(only.Transition);
    }
}
