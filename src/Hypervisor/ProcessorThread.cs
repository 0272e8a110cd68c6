using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>
/// The hypervisor's side of a virtual processor. The processor is suspended while the thread that serves its connection
/// carries out its exit, and runs otherwise. An exit without a fault allocates nothing.
/// </summary>
internal sealed class ProcessorThread
{
    private readonly Partition _partition;
    private readonly ProcessorChannel _channel;
    private readonly ILogger _log;

    // Held while an exit is carried out: its holder knows that the processor neither accesses a device nor is resumed.
    private readonly Lock _carryingOut = new();
    private int _retries;

    internal ProcessorThread(Partition partition, int index, ProcessorChannel channel, ILogger log)
    {
        _partition = partition;
        _channel = channel;
        _log = log;
        Index = index;
    }

    internal int Index { get; }

    /// <summary>Serves the processor until its guest closes the connection.</summary>
    internal void Run()
    {
        try
        {
            using var events = new WaitSet([_channel.Handle, _partition.BusInterrupt.Handle, .. _partition.Devices.Select(SafeHandle (d) => d.Interrupt.Handle)]);
            while (_channel.TryReceiveExit(out var exit))
            {
                _partition.Exits.Add(exit);
                if (exit.Processor != (uint)Index || TrappedInstruction.Length(exit.Reason, exit.Size) == 0)
                    _channel.Fault(exit, FaultCode.BadExit, $"processor {Index} sent an exit of processor {exit.Processor}, reason {(uint)exit.Reason}, size {exit.Size}");
                else if (exit.Reason == ExitReason.Halt)
                    Halt(exit, events);
                else
                    CarryOut(exit);
            }
        }
        catch (Exception e)
        {
            if (_partition.StopReason is null) _log.ProcessorBroke(_partition.Id, Index, e.Message);
        }
    }

    /// <summary>Makes <see cref="Run"/> return. Any thread.</summary>
    internal void Shutdown() => _channel.Shutdown();

    /// <summary>Waits until the processor's current exit, if any, has been carried out. For another processor's thread.</summary>
    internal void WaitUntilSuspended()
    {
        lock (_carryingOut)
        {
            // Acquiring the lock is the wait.
        }
    }

    private void CarryOut(in ExitRecord exit)
    {
        lock (_carryingOut)
        {
            if (!_partition.MayRun(this)) return;
            var state = exit.State;
            var again = false;
            SafeHandle? descriptor = null;
            try
            {
                switch (exit.Reason)
                {
                    case ExitReason.MmioRead or ExitReason.MmioWrite:
                        again = !_partition.Router.TryCarryOut(_partition.Id, exit, ref state);
                        _retries = again ? _retries + 1 : 0;
                        if (_retries > TrapVerdict.MaxRetries) throw new IOException($"VM-H had an instruction executed again {TrapVerdict.MaxRetries} times and does not complete it");
                        break;
                    default:
                        if (!HypercallHandler.TryCarryOut(_partition, this, ref state, out descriptor, _log))
                        {
                            PowerOff(exit);
                            return;
                        }
                        break;
                }
            }
            catch (IOException e)
            {
                _retries = 0;
                // An access cut off by another processor's crash raises no machine check: this processor stays suspended.
                if (!_partition.MayRun(this)) return;
                if (_partition.StopReason is null) _log.MachineCheck(_partition.Id, Index, e.Message);
                _channel.Fault(exit, FaultCode.DeviceFailed, e.Message);
                return;
            }
            if (!_partition.MayRun(this)) return;
            if (again) _channel.Retry(exit, state);
            else _channel.Resume(exit, state, vector: 0, descriptor);
        }
    }

    private void PowerOff(in ExitRecord exit)
    {
        _channel.Stop(exit, "the partition was powered off");
        _partition.Stop("the guest powered it off");
    }

    private void Halt(in ExitRecord exit, WaitSet events)
    {
        while (true)
        {
            events.Wait();
            if (events.IsReady(0)) return;
            if (events.IsReady(1) && TryInject(exit, _partition.BusInterrupt, GuestLayout.BusVector)) return;
            for (var device = 0; device < _partition.Devices.Length; device++)
            {
                // A crash on another processor may replace the device meanwhile.
                if (events.IsReady(device + 2) && TryInject(exit, Ordered.Load(ref _partition.Devices[device]).Interrupt, GuestLayout.FirstVector + device)) return;
            }
        }
    }

    /// <returns>False when another processor took the interrupt first.</returns>
    private bool TryInject(in ExitRecord exit, EventFd interrupt, int vector)
    {
        lock (_carryingOut)
        {
            // A suspended processor takes no interrupt, so the eventfd is not drained.
            if (!_partition.MayRun(this)) return true;
            if (!interrupt.TryDrain()) return false;
            _channel.Resume(exit, exit.State, (uint)vector);
            return true;
        }
    }
}
