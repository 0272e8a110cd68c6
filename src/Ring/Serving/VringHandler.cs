using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Ring.VhostUser;

namespace VmShunt.Ring.Serving;

/// <summary>
/// Serves one ring for one kind of device, a step at a time: pops chains, executes their requests, returns the chains. A step
/// never waits for work: the thread that runs the steps chooses the wait strategy. One thread at a time makes all calls.
/// </summary>
public abstract class VringHandler
{
    /// <param name="setup">The ring's set-up.</param>
    protected VringHandler(VringSetup setup)
    {
        Setup = setup;
        Calls = new DeviceCalls(Stopping);
        DriverCall = new DriverCall(setup.Call);
    }

    /// <summary>The ring's set-up.</summary>
    public VringSetup Setup { get; }

    /// <summary>Raised by another thread when the ring is to be stopped. A request that waits for long polls it.</summary>
    public SharedFlag Stopping { get; } = new();

    /// <summary>Notifies the driver: use it in place of <see cref="VringSetup.Call"/>, so that the thread knows how the driver waits.</summary>
    public DriverCall DriverCall { get; }

    /// <summary>The calls that a stop may abandon.</summary>
    public DeviceCalls Calls { get; }

    /// <summary>
    /// Whether a stop may abandon a call that takes long: the request stays in the record of chains in flight, and the device
    /// only fails it when the guest's memory is taken away meanwhile.
    /// </summary>
    public virtual bool MayAbandon => false;

    /// <summary>Whether chains are left in the record of chains in flight after the stop.</summary>
    public virtual bool HasInflight => Calls.IsAbandoned;

    /// <summary>Signalled at a completion of the device's own while armed; null where steps execute requests one by one.</summary>
    public virtual EventFd? Completed => null;

    /// <summary>
    /// Whether a stop must wait for further steps: a popped chain is not completed, or in-flight descriptors are inherited
    /// from a previous back-end.
    /// </summary>
    public virtual bool HasPending => false;

    /// <summary>Whether so many requests are in flight on the device that waiting for one of them beats waiting for the driver.</summary>
    public virtual bool IsDeep => false;

    /// <summary>How the driver broke the ring, or null.</summary>
    public abstract string? Fault { get; }

    /// <summary>The position of the next avail entry (GET_VRING_BASE), in the form of the ring's layout.</summary>
    public abstract uint Position { get; }

    /// <summary>Does one step.</summary>
    /// <param name="defersLong">Whether a long request is deferred to a step that does not defer.</param>
    public abstract HandlerStep Step(bool defersLong);

    /// <summary>Enables kick and completion notifications before blocking.</summary>
    /// <returns>True when there is work already: do not block.</returns>
    public abstract bool Arm();

    /// <summary>Disables both notifications: the thread polls.</summary>
    public abstract void Disarm();

    /// <summary>Blocks until a request on the device completes; called only when <see cref="IsDeep"/>.</summary>
    public virtual void WaitForCompletion()
    {
    }

    /// <summary>Publishes the completions that are not published yet.</summary>
    public virtual void PublishPending()
    {
    }

    /// <summary>Returns and publishes every popped chain but a deferred one.</summary>
    public abstract void Drain();

    /// <summary>Releases what the handler owns; the ring is drained, or abandoned, and no step follows.</summary>
    public virtual void Close()
    {
    }

    /// <summary>
    /// Its call was abandoned. On the thread that stops the ring, before the front-end learns that the ring is stopped; <see cref="Close"/>
    /// follows on the thread that serves it, when the device has returned.
    /// </summary>
    public virtual void OnAbandoned()
    {
    }

    /// <summary>A stop has waited for a second. On the thread that stops the ring.</summary>
    public virtual void OnSlowStop()
    {
    }

    /// <summary>Starts to serve the ring, on a dedicated thread or in a poll group.</summary>
    /// <param name="policy">How a dedicated thread waits.</param>
    /// <param name="groups">The poll groups, one of which serves the ring; null where a step may block.</param>
    /// <param name="broken">Receives the fault when the driver breaks the ring, on the thread that serves it.</param>
    public IRunningVring Start(WaitPolicy policy, PollGroups? groups, Action<string> broken) => new VringWorker(this, policy, groups, broken);
}
