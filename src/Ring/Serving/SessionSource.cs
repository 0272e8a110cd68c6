using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Serving;

/// <summary>
/// Where the connections of a <see cref="SessionListener"/> come from. Disposal stops new connections and returns when none
/// is being started; sessions go on.
/// </summary>
internal abstract class SessionSource : IDisposable
{
    private const string Descriptor = "fd:", Connecting = "connect:";

    /// <summary>Starts a session on its own thread.</summary>
    /// <returns>The thread, or null when the connection was refused.</returns>
    internal delegate Thread? Start(UnixConnection connection);

    /// <summary>Opens the source that an address names: a path to listen on, <c>fd:N</c>, or <c>connect:PATH</c>.</summary>
    /// <param name="address">The address.</param>
    /// <param name="start">Starts a session.</param>
    /// <param name="waiting">Receives a line when the source begins to wait for a peer that is not there.</param>
    /// <exception cref="IOException">It cannot be opened; the message says why, and what to do.</exception>
    internal static SessionSource Open(string address, Start start, Action<string> waiting)
    {
        if (address.StartsWith(Connecting, StringComparison.Ordinal)) return new ConnectingSource(address[Connecting.Length..], start, waiting);
        if (!address.StartsWith(Descriptor, StringComparison.Ordinal)) return new AcceptingSource(UnixListener.Bind(address), address, start);
        var inherited = InheritedSocket.Open(address, address[Descriptor.Length..]);
        return inherited.IsListening ? new AcceptingSource(inherited.Listen(), address, start) : new ConnectedSource(inherited.Connect(), start);
    }

    public abstract void Dispose();
}
