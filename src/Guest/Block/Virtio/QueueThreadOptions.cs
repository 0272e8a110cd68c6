using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Notification;

namespace VmShunt.BlockDriver.Virtio;

/// <summary>The options of a queue.</summary>
/// <param name="Wait">The wait strategy for completions.</param>
/// <param name="Crash">Stops the thread when the machine crashes.</param>
/// <param name="Enter">Runs first on the queue's thread: assigns it a virtual processor.</param>
/// <param name="Leave">Runs last on the queue's thread: releases the processor.</param>
/// <param name="Lost">Called with a reason when the device is lost or broken, before requests are rejected.</param>
/// <param name="MachineCheck">Called when the thread fails.</param>
internal sealed record QueueThreadOptions(
    WaitPolicy Wait, CrashGate Crash, Action Enter, Action Leave, Action<string> Lost, Action<Exception> MachineCheck);
