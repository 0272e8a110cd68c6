using System.Net;
using System.Net.Sockets;

namespace VmShunt.BlockBackend.Disk.Nbd;

/// <summary>The URI of an NBD export: <c>nbd://HOST[:PORT]/EXPORT</c> or <c>nbd+unix:///EXPORT?socket=PATH</c> (NBD URI).</summary>
/// <param name="Text">The URI as the user wrote it.</param>
/// <param name="EndPoint">Where the server listens.</param>
/// <param name="Export">The export's name; empty for the server's default export.</param>
internal sealed record NbdAddress(string Text, EndPoint EndPoint, string Export)
{
    private const int DefaultPort = 10809;

    internal static bool IsNbd(string spec) =>
        spec.StartsWith("nbd://", StringComparison.Ordinal) || spec.StartsWith("nbd+unix://", StringComparison.Ordinal);

    /// <exception cref="FormatException">The URI is invalid; the message says what is expected.</exception>
    internal static NbdAddress Parse(string spec)
    {
        if (!Uri.TryCreate(spec, UriKind.Absolute, out var uri)) throw Invalid(spec);
        var export = Uri.UnescapeDataString(uri.AbsolutePath.TrimStart('/'));
        if (uri.Scheme == "nbd")
        {
            return uri.Host.Length > 0
                ? new NbdAddress(spec, new DnsEndPoint(uri.DnsSafeHost, uri.IsDefaultPort || uri.Port < 0 ? DefaultPort : uri.Port), export)
                : throw Invalid(spec);
        }
        const string Socket = "?socket=";
        if (!uri.Query.StartsWith(Socket, StringComparison.Ordinal) || uri.Query.Length == Socket.Length) throw Invalid(spec);
        try
        {
            return new NbdAddress(spec, new UnixDomainSocketEndPoint(Uri.UnescapeDataString(uri.Query[Socket.Length..])), export);
        }
        catch (ArgumentException e)
        {
            // The path is longer than a socket's address.
            throw new FormatException($"--disk {spec}: the socket's path is invalid: {e.Message}", e);
        }
    }

    /// <summary>Connects to the server.</summary>
    /// <exception cref="SocketException">Nothing listens at the address.</exception>
    internal Socket Connect()
    {
        var isUnix = EndPoint is UnixDomainSocketEndPoint;
        var socket = isUnix ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) : new Socket(SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (!isUnix) socket.NoDelay = true;
            socket.Connect(EndPoint);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static FormatException Invalid(string spec) =>
        new($"--disk {spec}: nbd://HOST[:PORT]/EXPORT or nbd+unix:///EXPORT?socket=PATH is expected");
}
