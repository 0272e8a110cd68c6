using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Perf.Bench.Ends;

/// <summary>
/// The device's end of a ring that gives every chain back at once: what is left of VM-H's queue thread when a request
/// costs nothing. Waits as that thread does.
/// </summary>
internal static class EchoEnd
{
    /// <summary>Serves until the flag is raised.</summary>
    /// <param name="queue">The ring.</param>
    /// <param name="bell">What wakes either end; null when neither ever sleeps.</param>
    /// <param name="policy">How the device waits.</param>
    /// <param name="stopping">Ends it; a sleeper must be kicked as well.</param>
    internal static void Serve<TQueue>(TQueue queue, Bell? bell, WaitPolicy policy, SharedFlag stopping) where TQueue : struct, IDeviceQueue
    {
        using var sleep = bell is null ? null : new WaitSet(bell.Kick.Handle);
        var chain = new DescriptorChain();
        var spin = new SpinBudget(policy, SpinBudget.DefaultSpin, mayMove: true);
        queue.Disarm();
        while (!stopping.IsRaised)
        {
            var found = queue.TryTake(chain);
            if (found == PopResult.Taken)
            {
                queue.Return(chain.Handle, 1);
                if (queue.Publish()) bell?.Call.Signal();
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
                    bell!.Kick.TryDrain();
                }
                queue.Disarm();
                spin.Refill();
            }
        }
    }
}
