using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;

namespace VmShunt.Perf.Lifecycle.Rigs;

/// <summary>
/// Passes vhost-user messages and their descriptors between a front-end and VM-H, and removes protocol features from VM-H's
/// offer. It listens only while VM-H accepts connections, as VM-H itself does. A thread of its own.
/// </summary>
internal sealed class FeatureRelay : IDisposable
{
    private static readonly TimeSpan s_retryInterval = TimeSpan.FromMilliseconds(20);

    private readonly string _listen, _target;
    private readonly ulong _withheld;
    private readonly ManualResetEventSlim _stopping = new();
    private readonly UnixConnection _stop, _stopped;
    private readonly Thread _thread;

    // For a failure report: a reader may see an old number.
    private int _messages;

    /// <param name="listen">The socket for the front-end.</param>
    /// <param name="target">VM-H's.</param>
    /// <param name="withheld">The protocol features that the front-end does not see.</param>
    internal FeatureRelay(string listen, string target, VhostUserProtocolFeatures withheld)
    {
        (_listen, _target, _withheld) = (listen, target, (ulong)withheld);
        (_stop, _stopped) = UnixConnection.CreatePair();
        _thread = new Thread(Run) { IsBackground = true, Name = "relay" };
        _thread.Start();
    }

    /// <summary>How many messages the front-end has sent in its last session.</summary>
    internal int Messages => _messages;

    public void Dispose()
    {
        _stopping.Set();
        _stop.Shutdown();
        _thread.Join();
        _stop.Dispose();
        _stopped.Dispose();
        _stopping.Dispose();
    }

    private void Run()
    {
        while (!_stopping.Wait(s_retryInterval))
        {
            try
            {
                using var back = new VhostUserConnection(UnixConnection.Connect(_target));
                using var front = Accept(back);
                if (front is not null) Pass(front, back);
            }
            catch (IOException)
            {
                // VM-H does not listen, or an end disconnected.
            }
        }
    }

    private VhostUserConnection? Accept(VhostUserConnection back)
    {
        using var listener = UnixListener.Bind(_listen);
        using var events = new WaitSet(listener.Handle, back.Socket.Handle, _stopped.Handle);
        events.Wait();
        return events.IsReady(0) ? new VhostUserConnection(listener.Accept()) : null;
    }

    private void Pass(VhostUserConnection front, VhostUserConnection back)
    {
        using var events = new WaitSet(front.Socket.Handle, back.Socket.Handle, _stopped.Handle);
        _messages = 0;
        while (true)
        {
            events.Wait();
            if (events.IsReady(2)) return;
            if (events.IsReady(0))
            {
                if (!PassOne(front, back)) return;
                _messages++;
            }
            if (events.IsReady(1) && !PassOne(back, front)) return;
        }
    }

    private bool PassOne(VhostUserConnection from, VhostUserConnection to)
    {
        if (!from.Receive()) return false;
        var header = from.Header;
        var descriptors = new List<SafeFileHandle>();
        while (from.TakeDescriptor() is { } descriptor) descriptors.Add(descriptor);
        try
        {
            var isOffer = header.Request == VhostUserRequest.GetProtocolFeatures && (header.Flags & VhostUserHeader.Reply) != 0;
            var flags = header.Flags & ~VhostUserHeader.VersionMask;
            if (isOffer) to.Send(header.Request, flags, from.PayloadAs<ulong>() & ~_withheld);
            else to.Send(header.Request, flags, from.Payload, descriptors.ToArray<SafeHandle>());
            return true;
        }
        finally
        {
            foreach (var descriptor in descriptors) descriptor.Dispose();
        }
    }
}
