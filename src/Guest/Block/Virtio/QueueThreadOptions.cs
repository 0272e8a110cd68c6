using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Notification;

namespace VmShunt.BlockDriver.Virtio;

/// <summary>What a queue's thread needs of the kernel.</summary>
/// <param name="Wait">How it waits for completions.</param>
/// <param name="Crash">Stops it when the machine crashes.</param>
/// <param name="Enter">Run first on it: gives it a virtual processor.</param>
/// <param name="Leave">Run last on it: gives the processor back.</param>
/// <param name="Lost">Told on it, with a reason, when the device is gone or wrong, before requests are rejected.</param>
/// <param name="MachineCheck">Told when the machine fails under it.</param>
internal sealed record QueueThreadOptions(
    WaitPolicy Wait, CrashGate Crash, Action Enter, Action Leave, Action<string> Lost, Action<Exception> MachineCheck);
