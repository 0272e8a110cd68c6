using System.Runtime.CompilerServices;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>Both ends of a ring, and a model of them that is a few plain collections. Each step is done to both and compared.</summary>
internal sealed class QueueModel<TKind, TDriver, TDevice> : IDisposable
    where TKind : IRingKind<TDriver, TDevice>
    where TDriver : struct, IDriverQueue
    where TDevice : struct, IDeviceQueue
{
    private sealed record Request(ushort Token, QueueBuffer[] Buffers, int Readable, int Slots);

    private readonly QueuePair<TKind, TDriver, TDevice> _pair;
    private readonly QueueOptions _options;
    private readonly Queue<Request> _added = new();
    private readonly List<Request> _available = [];
    private readonly List<(Request Request, ChainHandle Handle)> _popped = [];
    private readonly Queue<(Request Request, uint Written)> _returned = new();
    private readonly Queue<(Request Request, uint Written)> _used = new();
    private readonly Queue<ushort> _freeTokens;
    private Request? _lastPopped;
    private int _slots, _step;
    private bool _deviceSleeps, _driverSleeps, _kicksWanted = true, _callsWanted = true;

    internal QueueModel(QueueOptions options, int start)
    {
        _options = options;
        _pair = new(options);
        _pair.Advance(start);
        _freeTokens = new(Enumerable.Range(0, options.Size).Select(static i => (ushort)i));
    }

    internal void Run(QueueStep[] steps)
    {
        foreach (var step in steps)
        {
            Do(step);
            Check(_pair.Driver.InFlight == _options.Size - _freeTokens.Count);
            Check(_pair.Driver.Fault is null && _pair.Device.Fault is null);
            _step++;
        }
    }

    public void Dispose() => _pair.Dispose();

    private void Do(QueueStep step)
    {
        switch (step.Action)
        {
            case QueueAction.Add:
                Add(step);
                break;
            case QueueAction.PublishAdded:
                PublishAdded();
                break;
            case QueueAction.Pop:
                Pop();
                break;
            case QueueAction.Unpop when _popped.Count > 0:
                Unpop(step.Choice % _popped.Count);
                break;
            case QueueAction.Return when _popped.Count > 0:
                var at = step.Choice % _popped.Count;
                _pair.Device.Return(_popped[at].Handle, (uint)step.Value);
                _returned.Enqueue((_popped[at].Request, (uint)step.Value));
                _popped.RemoveAt(at);
                break;
            case QueueAction.PublishReturned:
                PublishReturned();
                break;
            case QueueAction.PopUsed:
                PopUsed();
                break;
            case QueueAction.ArmDevice:
                var chains = _pair.Device.Arm();
                Check(chains == _available.Count > 0);
                _deviceSleeps = !chains;
                _kicksWanted = true;
                break;
            case QueueAction.DisarmDevice:
                _pair.Device.Disarm();
                _deviceSleeps = _kicksWanted = false;
                break;
            case QueueAction.ArmDriver:
                var completions = _pair.Driver.Arm();
                Check(completions == _used.Count > 0);
                _driverSleeps = !completions;
                _callsWanted = true;
                break;
            case QueueAction.DisarmDriver:
                _pair.Driver.Disarm();
                _driverSleeps = _callsWanted = false;
                break;
            case QueueAction.ReplaceDevice when _returned.Count == 0:
                _pair.ReplaceDevice();
                _deviceSleeps = false;
                break;
        }
    }

    private void Add(QueueStep step)
    {
        if (!_freeTokens.TryPeek(out var token)) return;
        var buffers = new QueueBuffer[1 + step.Choice % Math.Min(_options.Size + 1, 10)];
        for (var i = 0; i < buffers.Length; i++) buffers[i] = new QueueBuffer(step.Value * (ulong)(2 * i + 1) >> 4, (uint)(step.Value >> 20) + (uint)i);
        var request = new Request(token, buffers, step.Choice / 10 % (buffers.Length + 1), _pair.Slots(buffers.Length));
        var fits = _slots + request.Slots <= _options.Size;
        Check(_pair.Driver.TryAdd(buffers, request.Readable, token) == fits);
        if (!fits) return;
        _freeTokens.Dequeue();
        _added.Enqueue(request);
        _slots += request.Slots;
    }

    private void PublishAdded()
    {
        var kick = _pair.Driver.Publish();
        AssertNotified(kick, _added.Count > 0, _deviceSleeps, _kicksWanted);
        if (kick) _deviceSleeps = false;
        while (_added.TryDequeue(out var request)) _available.Add(request);
    }

    private void Pop()
    {
        _deviceSleeps = false;
        var found = _pair.Device.TryPop(_pair.Chain);
        Check(found == (_available.Count > 0 ? PopResult.Popped : PopResult.Empty));
        if (found != PopResult.Popped) return;
        var request = _available[0];
        _available.RemoveAt(0);
        Check(IsSame(request, _pair.Chain));
        _lastPopped = request;
        _popped.Add((request, _pair.Chain.Handle));
    }

    private void Unpop(int at)
    {
        var (request, handle) = _popped[at];
        // Only the chain that was popped last, and only when every other one is returned.
        var possible = _popped.Count == 1 && request == _lastPopped;
        Check(_pair.Device.TryUnpop(handle) == possible);
        if (!possible) return;
        _popped.Clear();
        _available.Insert(0, request);
        _lastPopped = null;
    }

    private void PublishReturned()
    {
        var call = _pair.Device.Publish();
        AssertNotified(call, _returned.Count > 0, _driverSleeps, _callsWanted);
        if (call) _driverSleeps = false;
        while (_returned.TryDequeue(out var one)) _used.Enqueue(one);
    }

    private void PopUsed()
    {
        _driverSleeps = false;
        var found = _pair.Driver.TryPopUsed(out var token, out var written);
        Check(found == (_used.Count > 0 ? PopResult.Popped : PopResult.Empty));
        if (found != PopResult.Popped) return;
        var completed = _used.Dequeue();
        Check((completed.Request.Token, completed.Written) == (token, written));
        _freeTokens.Enqueue(token);
        _slots -= completed.Request.Slots;
    }

    // Without EVENT_IDX a notification is exactly what the flag asks for. With it, a stale event index may cost an extra one.
    private void AssertNotified(bool notified, bool published, bool peerSleeps, bool wanted)
    {
        if (!published) Check(!notified);
        else if (peerSleeps) Check(notified);
        else if (!_options.EventIndex) Check(notified == wanted);
    }

    private static bool IsSame(Request request, DescriptorChain chain)
    {
        if (chain.Count != request.Buffers.Length || chain.ReadableCount != request.Readable) return false;
        for (var i = 0; i < chain.Count; i++)
        {
            var segment = i < request.Readable ? chain.Readable[i] : chain.Writable[i - request.Readable];
            if ((segment.Address, segment.Length) != (request.Buffers[i].Address, request.Buffers[i].Length)) return false;
        }
        return true;
    }

    private void Check(bool holds, [CallerArgumentExpression(nameof(holds))] string what = "")
    {
        if (!holds) Assert.Fail($"step {_step}: {what}");
    }
}
