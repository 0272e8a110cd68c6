using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Ring.Serving;

/// <summary>Serves one ring of a <see cref="VirtioDevice"/>: a step is one turn of the device.</summary>
internal sealed class VirtioVringHandler : VringHandler
{
    private readonly VirtioDevice _device;
    private readonly QueueWake _wake;
    private readonly FailureReports _reports;
    private readonly Virtqueue _queue;

    // The device left the next chain; until it wakes the queue, it is not called for it again.
    private bool _isLeft;

    internal VirtioVringHandler(VringSetup setup, VirtioDevice device, QueueWake wake, Action<string> report)
        : base(setup)
    {
        (_device, _wake) = (device, wake);
        _reports = new FailureReports(setup.Index, report);
        _queue = new Virtqueue(setup.CreateQueue(), setup, DriverCall, Stopping, _reports);
    }

    public override EventFd? Completed => _wake.Event;

    public override bool HasPending => _queue.HasInherited && !_isLeft;

    public override string? Fault => _queue.Fault;

    public override uint Position => _queue.Position;

    public override HandlerStep Step(bool defersLong)
    {
        if (_wake.TryAccept()) return Serve();
        return _queue.Peek() switch
        {
            PopResult.Popped when !_isLeft => Serve(),
            PopResult.Broken => HandlerStep.Broken,
            _ => HandlerStep.Empty,
        };
    }

    // A chain that the device left says nothing new, so it does not keep the thread from blocking.
    public override bool Arm() => (!_isLeft && _queue.Arm()) || _wake.IsRaised;

    public override void Disarm() => _queue.Disarm();

    public override void Drain() => _queue.Drain();

    private HandlerStep Serve()
    {
        _queue.BeginTurn();
        try
        {
            _device.Serve(_queue);
        }
        catch (Exception e)
        {
            _queue.FailTurn();
            _reports.Failed($"{_device.GetType().Name}.Serve threw {e.GetType().Name}: {e.Message}");
        }
        _isLeft = !_queue.EndTurn();
        return HandlerStep.Worked;
    }
}
