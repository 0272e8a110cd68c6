using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using VmShunt.Ring.Interop;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>
/// The bus channel of one disk, offered to one partition. The hypervisor connects it, hands the socket over and keeps a
/// duplicate, which is its power to revoke it; what is said on the channel is between VM-C and VM-H. Any thread.
/// </summary>
internal sealed class BusOffer(int partition, DeviceSpec spec, DeviceBus bus, TimeSpan patience, ILogger log) : IDisposable
{
    private readonly Lock _lock = new();
    private UnixConnection? _channel;

    internal string Name => spec.Name;

    /// <summary>Whether there is a bus at all, now or at another time.</summary>
    internal bool Exists => spec.BusSocket is not null;

    /// <summary>Whether the guest would get it now.</summary>
    internal bool IsOffered => bus.IsOffered;

    /// <summary>Whether the guest holds it and VM-H has not closed it.</summary>
    internal bool IsOpen
    {
        get
        {
            lock (_lock) return _channel is not null && !HasEnded(_channel);
        }
    }

    /// <summary>Connects the channel.</summary>
    /// <param name="channel">The connected socket, to pass to the guest; owned by this object.</param>
    internal HypercallStatus Open(out SafeHandle? channel)
    {
        channel = null;
        if (spec.BusSocket is null) return HypercallStatus.NotOffered;
        lock (_lock)
        {
            if (!bus.IsOffered) return HypercallStatus.NotOffered;
            if (_channel is not null && !HasEnded(_channel)) return HypercallStatus.AlreadyOpen;
            _channel?.Dispose();
            _channel = null;
            try
            {
                _channel = bus.Connect(patience);
                // What is said on it is no affair of the hypervisor's, nor how fast.
                _channel.LimitWaits(TimeSpan.Zero);
            }
            catch (IOException e)
            {
                log.BusUnavailable(partition, spec.Name, e.Message);
                bus.NoteAbsence();
                return HypercallStatus.Unavailable;
            }
            channel = _channel.Handle;
            log.BusOpened(partition, spec.Name);
            return HypercallStatus.Success;
        }
    }

    /// <summary>Has VM-H read end-of-file, and does not wait for what it does then. Followed by <see cref="Revoke"/>.</summary>
    internal void BeginRevoke()
    {
        lock (_lock) _channel?.ShutdownSend();
    }

    /// <summary>
    /// Ends the channel: VM-H reads end-of-file, stops its queues, lets the memory go and closes, which is waited for.
    /// </summary>
    internal HypercallStatus Revoke()
    {
        lock (_lock)
        {
            if (_channel is null) return HypercallStatus.NotOpen;
            _channel.ShutdownSend();
            var closed = WaitForClose(_channel);
            if (!closed) _channel.Shutdown();
            _channel.Dispose();
            _channel = null;
            if (closed) log.BusClosed(partition, spec.Name);
            else log.BusForced(partition, spec.Name, patience.TotalSeconds);
            return closed ? HypercallStatus.Success : HypercallStatus.Forced;
        }
    }

    /// <summary>
    /// Ends the channel of a guest that lives: nobody waits, and nothing is cut by force. VM-H stops its queues and closes,
    /// however long a disk takes over what it has begun; until then the guest sees its channel open and moves no request
    /// that VM-H may still carry out.
    /// </summary>
    internal void Rescind()
    {
        lock (_lock)
        {
            if (_channel is null || HasEnded(_channel)) return;
            _channel.ShutdownSend();
            log.BusTakenBack(partition, spec.Name);
        }
    }

    public void Dispose() => Revoke();

    private bool WaitForClose(UnixConnection channel)
    {
        using var events = new WaitSet(channel.Handle);
        var start = Stopwatch.GetTimestamp();
        while (true)
        {
            var left = (int)(patience - Stopwatch.GetElapsedTime(start)).TotalMilliseconds;
            if (left <= 0) return false;
            if (!events.Wait(left)) continue;
            if (events.IsHungUp(0)) return true;
            // Answers that the guest has not read keep the socket readable; they are none of our business.
            Thread.Sleep(1);
        }
    }

    private static bool HasEnded(UnixConnection channel)
    {
        using var events = new WaitSet(channel.Handle);
        return events.Wait(0) && events.IsHungUp(0);
    }
}
