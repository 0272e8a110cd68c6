using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using VmShunt.Ring.Interop;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>
/// The bus channel of one disk, offered to one partition. The hypervisor connects it, passes the socket to the guest and
/// keeps a duplicate, with which it can revoke the channel. It never reads or writes the channel. Any thread.
/// </summary>
internal sealed class BusOffer(int partition, DeviceSpec spec, DeviceBus bus, TimeSpan responseTimeout, ILogger log) : IDisposable
{
    private readonly Lock _lock = new();
    private UnixConnection? _channel;

    internal string Name => spec.Name;

    /// <summary>Whether the device has a bus, offered now or not.</summary>
    internal bool Exists => spec.BusSocket is not null;

    /// <summary>Whether the guest would get a channel now.</summary>
    internal bool IsOffered => bus.IsOffered;

    /// <summary>Whether the guest has a channel that VM-H has not closed.</summary>
    internal bool IsOpen
    {
        get
        {
            lock (_lock) return _channel is not null && !IsClosed(_channel);
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
            if (_channel is not null && !IsClosed(_channel)) return HypercallStatus.AlreadyOpen;
            _channel?.Dispose();
            _channel = null;
            try
            {
                _channel = bus.Connect(responseTimeout);
                // The socket options are shared with the guest's duplicate: no time limit for its messages.
                _channel.SetTimeout(TimeSpan.Zero);
            }
            catch (IOException e)
            {
                log.BusUnavailable(partition, spec.Name, e.Message);
                bus.StartProbing();
                return HypercallStatus.Unavailable;
            }
            channel = _channel.Handle;
            log.BusOpened(partition, spec.Name);
            return HypercallStatus.Success;
        }
    }

    /// <summary>Makes VM-H read end-of-file, without waiting for its reaction. <see cref="Revoke"/> follows.</summary>
    internal void BeginRevoke()
    {
        lock (_lock) _channel?.ShutdownSend();
    }

    /// <summary>
    /// Ends the channel: VM-H reads end-of-file, stops its queues, unmaps the memory and closes. Waits for the close up to
    /// the response timeout, then cuts the channel.
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
            else log.BusForced(partition, spec.Name, responseTimeout.TotalSeconds);
            return closed ? HypercallStatus.Success : HypercallStatus.Forced;
        }
    }

    /// <summary>
    /// Ends the channel of a running guest, without waiting and without force. VM-H stops its queues and closes, however
    /// long the disk takes to complete what is in flight. Until then the guest sees its channel open and does not submit
    /// again, on the other path, a request that VM-H may still carry out.
    /// </summary>
    internal void Rescind()
    {
        lock (_lock)
        {
            if (_channel is null || IsClosed(_channel)) return;
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
            var left = (int)(responseTimeout - Stopwatch.GetElapsedTime(start)).TotalMilliseconds;
            if (left <= 0) return false;
            if (!events.Wait(left)) continue;
            if (events.IsHungUp(0)) return true;
            // Messages that the guest has not read keep the socket readable; they are not the hypervisor's to read.
            Thread.Sleep(1);
        }
    }

    private static bool IsClosed(UnixConnection channel)
    {
        using var events = new WaitSet(channel.Handle);
        return events.Wait(0) && events.IsHungUp(0);
    }
}
