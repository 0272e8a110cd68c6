using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;

namespace VmShunt.Ring.Serving;

/// <summary>
/// A thread that serves the rings of many guests, whose disks never block. Each round visits every active ring and a few idle
/// ones. While the thread runs, kicks are disabled; before it blocks it arms every ring, and a kick makes its ring active.
/// Any thread adds and releases rings; all other state belongs to the group's thread.
/// </summary>
internal sealed class PollGroup : IDisposable
{
    // A ring becomes idle after this many visits without work.
    private const int MaxEmptyVisits = 256;

    // A round visits one idle ring, and one more for each of this many.
    private const int IdleRingsPerVisit = 32;

    private const int WakeTag = 0;

    private const int StopMilliseconds = 5000;

    // Long enough that each of many guests that share a core has run.
    private const int WindowMilliseconds = 250, RoundsPerClock = 256;

    private readonly WaitPolicy _policy;
    private readonly Lock _changing = new();
    private readonly List<PollGroupMember> _added = [], _released = [];
    private readonly SharedFlag _isChanged = new(), _stopping = new();
    private readonly EventFd _wake = EventFd.Create();
    private readonly EventPoll _epoll = new();
    private readonly Dictionary<int, PollGroupMember> _byTag = [];

    // The active rings come first.
    private PollGroupMember[] _rings = new PollGroupMember[8];
    private int _active, _count;
    private int _nextIdle;
    private int _lastTag = WakeTag;
    private int _assigned;

    // The notifications that drivers were sent while their rings were here.
    private long _notifications;

    // The rings that had work in the current time window.
    private int _busyRings;
    private int _window, _rounds;
    private long _windowEnd;
    private Thread? _thread;

    /// <param name="policy">How the thread waits.</param>
    internal PollGroup(WaitPolicy policy)
    {
        _policy = policy;
        if (!_epoll.TryAdd(_wake.Handle, WakeTag)) throw new IOException("the poll group's eventfd cannot be added to its epoll set: the system is out of resources");
    }

    /// <summary>The rings assigned to the group, whether they are in it or on a dedicated thread. Any thread.</summary>
    // Only for balancing: a stale value does no harm.
    internal int Assigned => Ordered.Load(ref _assigned);

    /// <summary>Counts a ring as assigned until it is released. Any thread.</summary>
    internal void Assign() => Interlocked.Increment(ref _assigned);

    /// <summary>Adds a ring; the first one starts the thread. Any thread.</summary>
    internal void Add(PollGroupMember ring)
    {
        lock (_changing)
        {
            if (_thread is null)
            {
                var thread = new Thread(Run) { IsBackground = true, Name = "rings" };
                SystemThread.Start(thread);
                _thread = thread;
            }
            _added.Add(ring);
            _isChanged.Raise();
        }
        _wake.Signal();
    }

    /// <summary>Finishes a stopping ring if it is in the group; on a dedicated thread that thread finishes it. Any thread; does not block.</summary>
    internal void Release(PollGroupMember ring)
    {
        Interlocked.Decrement(ref _assigned);
        lock (_changing)
        {
            _released.Add(ring);
            _isChanged.Raise();
        }
        _wake.Signal();
    }

    /// <summary>Stops the thread. Only when the group has no rings.</summary>
    public void Dispose()
    {
        _stopping.Raise();
        _wake.Signal();
        Thread? thread;
        lock (_changing) thread = _thread;
        if (thread?.Join(StopMilliseconds) == false) return;
        _epoll.Dispose();
        _wake.Dispose();
    }

    private void Run()
    {
        SystemThread.ShowName();
        var spin = new SpinBudget(_policy, SpinBudget.DefaultSpin, mayMove: true);
        var nice = new ThreadNice();
        while (!_stopping.IsRaised)
        {
            if (_isChanged.IsRaised) ApplyChanges();
            if (++_rounds % RoundsPerClock == 0) AdjustPriority(nice, ref spin);
            if (VisitRings())
            {
                spin.Refill(_notifications);
            }
            else if (_count == 0 || !spin.TrySpin())
            {
                if (ArmAll()) Block();
                spin.Refill();
            }
        }
    }

    /// <summary>
    /// On shared cores the thread needs the CPU share of all guests that wait for it; with the share of one of them it would
    /// stall them all. With a single guest it must not outweigh that guest, and yields while it spins.
    /// </summary>
    private void AdjustPriority(ThreadNice nice, ref SpinBudget spin)
    {
        var now = Environment.TickCount64;
        if (now < _windowEnd) return;
        nice.SetWeight(_busyRings);
        spin.KeepsCore = _busyRings > Environment.ProcessorCount;
        _busyRings = 0;
        _window++;
        _windowEnd = now + WindowMilliseconds;
    }

    private void ApplyChanges()
    {
        lock (_changing)
        {
            _isChanged.Lower();
            // In this order: a ring that was added and stopped at once is finished by Insert, and skipped below.
            foreach (var ring in _added) Insert(ring);
            _added.Clear();
            foreach (var ring in _released)
            {
                if (ring.Index < 0) continue;
                Remove(ring);
                ring.Finish();
            }
            _released.Clear();
        }
    }

    private void Insert(PollGroupMember ring)
    {
        if (ring.IsStopping)
        {
            ring.Finish();
            return;
        }
        ring.Tag = ++_lastTag;
        if (!_epoll.TryAdd(ring.Kick.Handle, ring.Tag))
        {
            ring.ServeOnOwnThread(permanently: true);
            return;
        }
        _byTag.Add(ring.Tag, ring);
        if (_count == _rings.Length) Array.Resize(ref _rings, 2 * _count);
        Put(ring, _count++);
        // Its dedicated thread may have armed it.
        ring.IsArmed = true;
        MakeActive(ring);
    }

    private void Remove(PollGroupMember ring)
    {
        if (ring.Index < _active) MakeIdle(ring);
        Put(_rings[--_count], ring.Index);
        ring.Index = -1;
        _byTag.Remove(ring.Tag);
        _epoll.Remove(ring.Kick.Handle);
    }

    /// <returns>Whether a ring had work.</returns>
    private bool VisitRings()
    {
        var worked = false;
        for (var i = 0; i < _active;)
        {
            var ring = _rings[i];
            worked |= Visit(ring);
            // A ring that left the group was replaced by another one at its index.
            if (ring.Index == i && ring.EmptyVisits < MaxEmptyVisits) i++;
            else if (ring.Index == i) MakeIdle(ring);
        }
        var idle = _count - _active;
        for (var visits = idle == 0 ? 0 : 1 + idle / IdleRingsPerVisit; visits > 0 && _active < _count; visits--)
        {
            if (++_nextIdle < _active || _nextIdle >= _count) _nextIdle = _active;
            worked |= Visit(_rings[_nextIdle]);
        }
        return worked;
    }

    private bool Visit(PollGroupMember ring)
    {
        var visit = ring.Visit();
        if (visit == RingVisit.Empty)
        {
            ring.EmptyVisits++;
            return false;
        }
        if (visit == RingVisit.Worked)
        {
            _notifications += ring.Notifications - ring.SeenNotifications;
            ring.SeenNotifications = ring.Notifications;
            if (ring.LastWindow != _window)
            {
                ring.LastWindow = _window;
                _busyRings++;
            }
            MakeActive(ring);
        }
        else
        {
            Remove(ring);
            ring.ServeOnOwnThread(permanently: false);
        }
        return true;
    }

    private void MakeActive(PollGroupMember ring)
    {
        ring.EmptyVisits = 0;
        if (ring.IsArmed)
        {
            ring.IsArmed = false;
            ring.Disarm();
        }
        if (ring.Index < _active) return;
        Put(_rings[_active], ring.Index);
        Put(ring, _active++);
    }

    private void MakeIdle(PollGroupMember ring)
    {
        Put(_rings[--_active], ring.Index);
        Put(ring, _active);
    }

    private void Put(PollGroupMember ring, int index)
    {
        _rings[index] = ring;
        ring.Index = index;
    }

    /// <summary>Enables the kicks of rings that are not armed. A ring stays armed until it has work, so the others cost nothing.</summary>
    /// <returns>False when a ring has work already: do not block.</returns>
    private bool ArmAll()
    {
        for (var i = 0; i < _count; i++)
        {
            var ring = _rings[i];
            if (ring.IsArmed) continue;
            ring.IsArmed = true;
            if (!ring.Arm()) continue;
            MakeActive(ring);
            return false;
        }
        _active = 0;
        return true;
    }

    private void Block()
    {
        var events = _epoll.Wait();
        for (var i = 0; i < events; i++)
        {
            if (_byTag.TryGetValue(_epoll.Tag(i), out var ring)) MakeActive(ring);
        }
    }
}
