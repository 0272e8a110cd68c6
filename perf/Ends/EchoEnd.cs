using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Perf.Ends;

/// <summary>
/// The device's end of a virtqueue that returns every chain at once: VM-H's queue thread without the work of a request.
/// Waits as that thread does.
/// </summary>
internal static class EchoEnd
{
    /// <summary>Serves until the flag is raised.</summary>
    /// <param name="queue">The virtqueue.</param>
    /// <param name="events">The eventfds; null if neither end sleeps.</param>
    /// <param name="policy">How the device waits.</param>
    /// <param name="stopping">Stops the loop; a sleeping device must be kicked too.</param>
    internal static void Serve<TQueue>(TQueue queue, QueueEvents? events, WaitPolicy policy, SharedFlag stopping) where TQueue : struct, IDeviceQueue
    {
        using var sleep = events is null ? null : new WaitSet(events.Kick.Handle);
        var chain = new DescriptorChain();
        var spin = new SpinBudget(policy, SpinBudget.DefaultSpin, mayMove: true);
        queue.Disarm();
        while (!stopping.IsRaised)
        {
            var found = queue.TryPop(chain);
            if (found == PopResult.Popped)
            {
                queue.Return(chain.Handle, 1);
                if (queue.Publish()) events?.Call.Signal();
                spin.Refill();
            }
            else if (found == PopResult.Broken)
            {
                throw new InvalidOperationException(queue.Fault);
            }
            else if (!spin.TrySpin())
            {
                if (!queue.Arm())
                {
                    sleep!.Wait();
                    events!.Kick.TryDrain();
                }
                queue.Disarm();
                spin.Refill();
            }
        }
    }
}
