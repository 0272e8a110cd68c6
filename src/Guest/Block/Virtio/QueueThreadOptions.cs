using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Notification;

namespace VmShunt.BlockDriver.Virtio;

/// <summary>What the queues of a channel need of the program around them.</summary>
/// <param name="wait">The wait strategy for completions.</param>
/// <param name="crash">Stops the queues' threads when the machine crashes.</param>
/// <param name="enter">Runs first on a queue's thread: assigns it a virtual processor.</param>
/// <param name="leave">Runs last on a queue's thread: releases the processor.</param>
/// <param name="lost">Called with a reason, on a queue's thread or a polling one, when the device is lost or broken, before requests are rejected. It must not dispose the channel.</param>
/// <param name="machineCheck">Called on a queue's thread that fails because the end of a request threw. Its requests do not complete any more.</param>
public sealed class QueueThreadOptions(
    WaitPolicy wait, CrashGate crash, Action enter, Action leave, Action<string> lost, Action<Exception> machineCheck)
{
    internal WaitPolicy Wait { get; } = wait;

    internal CrashGate Crash { get; } = crash;

    internal Action Enter { get; } = enter;

    internal Action Leave { get; } = leave;

    internal Action<string> Lost { get; } = lost;

    internal Action<Exception> MachineCheck { get; } = machineCheck;
}
