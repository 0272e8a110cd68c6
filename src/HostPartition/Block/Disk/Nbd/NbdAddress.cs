using System.Net;
using System.Net.Sockets;

namespace VmShunt.BlockBackend.Disk.Nbd;

/// <summary>
/// The URI of an NBD export: <c>nbd://HOST[:PORT]/EXPORT</c> or <c>nbd+unix:///EXPORT?socket=PATH</c>, and with TLS
/// <c>nbds://</c> or <c>nbds+unix://</c> (NBD URI).
/// </summary>
/// <param name="Text">The URI as the user wrote it.</param>
/// <param name="EndPoint">Where the server listens.</param>
/// <param name="Export">The export's name; empty for the server's default export.</param>
/// <param name="Tls">How to encrypt the connection, or null.</param>
internal sealed record NbdAddress(string Text, EndPoint EndPoint, string Export, NbdTls? Tls)
{
    private const int DefaultPort = 10809;
    private const int KeepAliveSeconds = 30, KeepAliveInterval = 10, KeepAliveProbes = 3;

    private static readonly string[] s_schemes = ["nbd", "nbds", "nbd+unix", "nbds+unix"];

    internal static bool IsNbd(string spec) => s_schemes.Any(scheme => spec.StartsWith(scheme + "://", StringComparison.Ordinal));

    /// <exception cref="FormatException">The URI is invalid; the message says what is expected.</exception>
    internal static NbdAddress Parse(string spec)
    {
        if (!Uri.TryCreate(spec, UriKind.Absolute, out var uri)) throw Invalid(spec);
        var query = Query(spec, uri);
        var isUnix = uri.Scheme.EndsWith("+unix", StringComparison.Ordinal);
        var export = Uri.UnescapeDataString(uri.AbsolutePath.TrimStart('/'));
        var host = query.GetValueOrDefault("tls-hostname") ?? (isUnix ? "localhost" : uri.DnsSafeHost);
        var tls = uri.Scheme.StartsWith("nbds", StringComparison.Ordinal) ? NbdTls.Parse(spec, host, query) : null;
        if (!isUnix)
        {
            return uri.Host.Length > 0
                ? new NbdAddress(spec, new DnsEndPoint(uri.DnsSafeHost, uri.IsDefaultPort || uri.Port < 0 ? DefaultPort : uri.Port), export, tls)
                : throw Invalid(spec);
        }
        if (query.GetValueOrDefault("socket") is not { Length: > 0 } path) throw Invalid(spec);
        try
        {
            return new NbdAddress(spec, new UnixDomainSocketEndPoint(path), export, tls);
        }
        catch (ArgumentException)
        {
            throw new FormatException($"--disk {spec}: the socket's path is longer than an address can be (107 bytes): use a shorter path, or one relative to the working directory");
        }
    }

    /// <summary>Connects to the server.</summary>
    /// <param name="stop">Ends the attempt.</param>
    /// <exception cref="SocketException">Nothing listens at the address.</exception>
    /// <exception cref="OperationCanceledException">It was ended.</exception>
    internal Socket Connect(CancellationToken stop)
    {
        var isUnix = EndPoint is UnixDomainSocketEndPoint;
        var socket = isUnix ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) : new Socket(SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (!isUnix)
            {
                socket.NoDelay = true;
                // A peer that was switched off does not close its connections.
                socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
                socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, KeepAliveSeconds);
                socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, KeepAliveInterval);
                socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, KeepAliveProbes);
            }
            // With name resolution, which the blocking form would not let end.
            socket.ConnectAsync(EndPoint, stop).AsTask().GetAwaiter().GetResult();
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static Dictionary<string, string> Query(string spec, Uri uri)
    {
        var values = new Dictionary<string, string>();
        foreach (var part in uri.Query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            if (part.Split('=', 2) is not [var name, var value] || name is not ("socket" or "tls-certificates" or "tls-hostname" or "tls-verify-peer"))
                throw new FormatException($"--disk {spec}: '{part}' is none of socket=PATH, tls-certificates=FOLDER, tls-hostname=NAME, tls-verify-peer=true|false");
            values[name] = Uri.UnescapeDataString(value);
        }
        return values;
    }

    private static FormatException Invalid(string spec) =>
        new($"--disk {spec}: nbd://HOST[:PORT]/EXPORT or nbd+unix:///EXPORT?socket=PATH is expected (nbds for TLS)");
}
