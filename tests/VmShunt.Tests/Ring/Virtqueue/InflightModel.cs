using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>A ring, its record of requests in flight, and a model that knows which requests are outstanding and which were processed.</summary>
internal sealed class InflightModel<TKind, TDriver, TDevice> : IDisposable
    where TKind : IRingKind<TDriver, TDevice>
    where TDriver : struct, IDriverQueue
    where TDevice : struct, IDeviceQueue
{
    private readonly QueuePair<TKind, TDriver, TDevice> _pair;
    private readonly Func<TDevice> _attach;
    private readonly TestMemory _record;
    private readonly DescriptorChain _chain = new();
    private readonly List<(ChainHandle Handle, int Token)> _popped = [];
    private readonly HashSet<int> _outstanding = [], _processed = [];
    private TDevice _device;
    private int _nextToken;

    /// <param name="options">Of the ring.</param>
    /// <param name="recordBytes">The size of the record.</param>
    /// <param name="attach">Makes a device of a ring's memory and a record.</param>
    internal InflightModel(QueueOptions options, int recordBytes, Func<TestMemory, MemoryWindow, bool, TDevice> attach)
    {
        _pair = new(options);
        _record = new TestMemory(recordBytes);
        _attach = () => attach(_pair.Ram, _record.Window(TestMemory.Start, recordBytes), options.Indirect);
        _device = _attach();
    }

    internal int Completed { get; private set; }

    internal int Deaths { get; private set; }

    internal int Unpopped { get; private set; }

    internal void Run(InflightStep[] steps)
    {
        foreach (var step in steps)
        {
            Do(step);
            Assert.Null(_device.Fault);
            Assert.Null(_pair.Driver.Fault);
        }
        Drain();
    }

    public void Dispose()
    {
        _record.Dispose();
        _pair.Dispose();
    }

    private void Do(InflightStep step)
    {
        switch (step.Action)
        {
            case InflightAction.Add:
                Add(1 + step.Choice % 3);
                break;
            case InflightAction.PublishAdded:
                _pair.Driver.Publish();
                break;
            case InflightAction.PopUsed:
                PopUsed();
                break;
            case InflightAction.Pop or InflightAction.Unpop when _device.TryPop(_chain) == PopResult.Popped:
                Process(unpops: step.Action == InflightAction.Unpop);
                break;
            case InflightAction.Return:
                Return(step.Choice);
                _device.Publish();
                break;
            case InflightAction.ReturnAndDie:
                Return(step.Choice);
                Die();
                break;
            case InflightAction.Die:
                Die();
                break;
        }
    }

    private void Add(int buffers)
    {
        var token = _nextToken % 1000;
        var chain = Enumerable.Range(0, buffers).Select(i => new QueueBuffer(_pair.Data + (ulong)token, (uint)(i + 1))).ToArray();
        if (_outstanding.Contains(token) || !_pair.Driver.TryAdd(chain, 0, (ushort)token)) return;
        _outstanding.Add(token);
        _nextToken++;
    }

    private void Process(bool unpops)
    {
        var token = (int)(_chain.Writable[0].Address - _pair.Data);
        Assert.Contains(token, _outstanding);
        Assert.DoesNotContain(_popped, one => one.Token == token);
        if (unpops && _device.TryUnpop(_chain.Handle))
        {
            Assert.Empty(_popped);
            Unpopped++;
            return;
        }
        _processed.Add(token);
        _popped.Add((_chain.Handle, token));
    }

    private void Return(int choice)
    {
        for (var batch = Math.Min(_popped.Count, 1 + choice % 4); batch > 0; batch--)
        {
            var at = choice % _popped.Count;
            _device.Return(_popped[at].Handle, (uint)_popped[at].Token);
            _popped.RemoveAt(at);
        }
    }

    // The next process has the ring and the record, and nothing else.
    private void Die()
    {
        _device = _attach();
        _popped.Clear();
        Deaths++;
    }

    private void PopUsed()
    {
        while (_pair.Driver.TryPopUsed(out var token, out var written) == PopResult.Popped)
        {
            Assert.Equal(token, written);
            Assert.True(_outstanding.Remove(token), $"{token} completed twice");
            Assert.True(_processed.Remove(token), $"{token} completed and was not processed");
            Completed++;
        }
    }

    private void Drain()
    {
        _pair.Driver.Publish();
        foreach (var (handle, token) in _popped) _device.Return(handle, (uint)token);
        _device.Publish();
        _popped.Clear();
        while (_device.TryPop(_chain) == PopResult.Popped)
        {
            Process(unpops: false);
            Return(0);
            _device.Publish();
        }
        PopUsed();
        Assert.Empty(_outstanding);
    }
}
