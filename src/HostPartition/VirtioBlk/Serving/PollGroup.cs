using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;

namespace VmShunt.HostPartition.VirtioBlk.Serving;

/// <summary>
/// A thread that serves many rings of disks that never wait. It goes round: rings that had work lately are visited each
/// time, the others a few at a time, so that they cost next to nothing. While it runs it needs no kicks; before it sleeps it
/// arms every ring, and wakes those that were kicked. Rings come and go by any thread; all else is its own.
/// </summary>
internal sealed class PollGroup : IDisposable
{
    // A ring is visited each time until it was empty this often.
    private const int VainVisitsAtMost = 256;

    // Of the others, one more each time for so many of them.
    private const int QuietShare = 32;

    private const int WakeTag = 0;

    private const int EndMilliseconds = 5000;

    // So long that each of many guests that share a core has had its turn.
    private const int WindowMilliseconds = 250, RoundsPerClock = 256;

    private readonly WaitPolicy _policy;
    private readonly Lock _changing = new();
    private readonly List<PollGroupMember> _coming = [], _going = [];
    private readonly SharedFlag _isChanged = new(), _ending = new();
    private readonly EventFd _wake = EventFd.Create();
    private readonly EventPoll _sleep = new();
    private readonly Dictionary<int, PollGroupMember> _byTag = [];
    private PollGroupMember[] _rings = new PollGroupMember[8];

    // Those before the first count are visited each time.
    private int _hot, _count;
    private int _nextQuiet;
    private int _lastTag = WakeTag;
    private int _assigned;

    // How many rings had work in this window of time.
    private int _lately;
    private int _window, _rounds;
    private long _windowEnd;
    private Thread? _thread;

    /// <param name="policy">How it waits.</param>
    internal PollGroup(WaitPolicy policy)
    {
        _policy = policy;
        if (!_sleep.TryAdd(_wake.Handle, WakeTag)) throw new IOException("no wake-up can be waited for: the system has no room for it");
    }

    /// <summary>How many rings are meant for it, whether it has them at the moment or not. Any thread.</summary>
    internal int Assigned => _assigned;

    /// <summary>A ring is meant for it from now on, until it is released. Any thread.</summary>
    internal void Assign() => Interlocked.Increment(ref _assigned);

    /// <summary>Takes a ring over; the first starts the thread. Any thread.</summary>
    internal void Add(PollGroupMember ring)
    {
        lock (_changing)
        {
            _coming.Add(ring);
            _isChanged.Raise();
            if (_thread is null)
            {
                _thread = new Thread(Run) { IsBackground = true, Name = "rings" };
                _thread.Start();
            }
        }
        _wake.Signal();
    }

    /// <summary>Finishes a ring that is stopping, if it is here; who has it finishes it otherwise. Any thread; does not wait.</summary>
    internal void Release(PollGroupMember ring)
    {
        Interlocked.Decrement(ref _assigned);
        lock (_changing)
        {
            _going.Add(ring);
            _isChanged.Raise();
        }
        _wake.Signal();
    }

    /// <summary>Ends the thread. When it has no rings any more.</summary>
    public void Dispose()
    {
        _ending.Raise();
        _wake.Signal();
        if (_thread?.Join(EndMilliseconds) == false) return;
        _sleep.Dispose();
        _wake.Dispose();
    }

    private void Run()
    {
        var spin = new SpinBudget(_policy, SpinBudget.DefaultSpin, mayMove: true);
        var weight = new ThreadNice();
        while (!_ending.IsRaised)
        {
            if (_isChanged.IsRaised) Change();
            if (++_rounds % RoundsPerClock == 0) Weigh(weight, ref spin);
            if (GoRound())
            {
                spin.Refill();
            }
            else if (_count == 0 || !spin.TrySpin())
            {
                if (ArmAll()) Sleep();
                spin.Refill();
            }
        }
    }

    /// <summary>
    /// Where cores are shared it needs as much as those together that wait for it: one share among many would have all of them
    /// wait for the one thread that can serve them. Beside a single guest it must not weigh more than that guest,
    /// and gives its core up while it spins.
    /// </summary>
    private void Weigh(ThreadNice weight, ref SpinBudget spin)
    {
        var now = Environment.TickCount64;
        if (now < _windowEnd) return;
        weight.Become(_lately);
        spin.KeepsCore = _lately > Environment.ProcessorCount;
        _lately = 0;
        _window++;
        _windowEnd = now + WindowMilliseconds;
    }

    private void Change()
    {
        lock (_changing)
        {
            _isChanged.Lower();
            // In this order: what comes and is stopped at once is finished when it comes, and not here when it goes.
            foreach (var ring in _coming) Take(ring);
            _coming.Clear();
            foreach (var ring in _going)
            {
                if (ring.Place < 0) continue;
                LetGo(ring);
                ring.Finish();
            }
            _going.Clear();
        }
    }

    private void Take(PollGroupMember ring)
    {
        if (ring.IsStopping)
        {
            ring.Finish();
            return;
        }
        ring.Tag = ++_lastTag;
        if (!_sleep.TryAdd(ring.Kick.Handle, ring.Tag))
        {
            ring.ServeAlone(forGood: true);
            return;
        }
        _byTag.Add(ring.Tag, ring);
        if (_count == _rings.Length) Array.Resize(ref _rings, 2 * _count);
        Put(ring, _count++);
        // Where it was before it may have been armed.
        ring.IsArmed = true;
        Wake(ring);
    }

    private void LetGo(PollGroupMember ring)
    {
        if (ring.Place < _hot) Cool(ring);
        Put(_rings[--_count], ring.Place);
        ring.Place = -1;
        _byTag.Remove(ring.Tag);
        _sleep.Remove(ring.Kick.Handle);
    }

    /// <returns>Whether there was anything to do.</returns>
    private bool GoRound()
    {
        var worked = false;
        for (var at = 0; at < _hot;)
        {
            var ring = _rings[at];
            worked |= Visit(ring);
            // Otherwise there is another one in its place.
            if (ring.Place == at && ring.VainVisits < VainVisitsAtMost) at++;
            else if (ring.Place == at) Cool(ring);
        }
        var quiet = _count - _hot;
        for (var visits = quiet == 0 ? 0 : 1 + quiet / QuietShare; visits > 0 && _hot < _count; visits--)
        {
            if (++_nextQuiet < _hot || _nextQuiet >= _count) _nextQuiet = _hot;
            worked |= Visit(_rings[_nextQuiet]);
        }
        return worked;
    }

    private bool Visit(PollGroupMember ring)
    {
        var visit = ring.Visit();
        if (visit == RingVisit.Empty)
        {
            ring.VainVisits++;
            return false;
        }
        if (visit == RingVisit.Worked)
        {
            if (ring.LastWindow != _window)
            {
                ring.LastWindow = _window;
                _lately++;
            }
            Wake(ring);
        }
        else
        {
            LetGo(ring);
            ring.ServeAlone(forGood: false);
        }
        return true;
    }

    /// <summary>It has work: it is visited each time, and needs no kicks.</summary>
    private void Wake(PollGroupMember ring)
    {
        ring.VainVisits = 0;
        if (ring.IsArmed)
        {
            ring.IsArmed = false;
            ring.Disarm();
        }
        if (ring.Place < _hot) return;
        Put(_rings[_hot], ring.Place);
        Put(ring, _hot++);
    }

    private void Cool(PollGroupMember ring)
    {
        Put(_rings[--_hot], ring.Place);
        Put(ring, _hot);
    }

    private void Put(PollGroupMember ring, int place)
    {
        _rings[place] = ring;
        ring.Place = place;
    }

    /// <summary>Asks for kicks, of those that have not been asked since they last had work: the others cost nothing.</summary>
    /// <returns>False when one has work already: do not sleep.</returns>
    private bool ArmAll()
    {
        for (var at = 0; at < _count; at++)
        {
            var ring = _rings[at];
            if (ring.IsArmed) continue;
            ring.IsArmed = true;
            if (!ring.Arm()) continue;
            Wake(ring);
            return false;
        }
        _hot = 0;
        return true;
    }

    private void Sleep()
    {
        var events = _sleep.Wait();
        for (var i = 0; i < events; i++)
        {
            if (_byTag.TryGetValue(_sleep.Tag(i), out var ring)) Wake(ring);
        }
    }
}
