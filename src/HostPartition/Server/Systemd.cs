using System.Globalization;
using System.Net.Sockets;
using System.Text;
using VmShunt.Terminal;

namespace VmShunt.HostPartition;

/// <summary>
/// What a service manager such as systemd passes to a service: listening sockets (sd_listen_fds(3)), and a socket to which
/// the service reports its state (sd_notify(3)).
/// </summary>
internal static class Systemd
{
    private const string Descriptor = "fd:";
    private const int FirstDescriptor = 3;

    /// <summary>Replaces the name in <c>fd:NAME</c> by the number of the descriptor that has it. Other addresses stay as they are.</summary>
    /// <exception cref="IOException">No socket of that name was passed.</exception>
    internal static string Resolve(string address)
    {
        if (!address.StartsWith(Descriptor, StringComparison.Ordinal) || address[Descriptor.Length..].All(char.IsAsciiDigit)) return address;
        var name = address[Descriptor.Length..];
        var names = PassedNames();
        var index = Array.IndexOf(names, name);
        if (index >= 0) return $"{Descriptor}{FirstDescriptor + index}";
        throw new IOException(
            $"{address}: no socket of that name was passed to this process ({(names.Length == 0 ? "LISTEN_FDS and LISTEN_FDNAMES pass none" : "there are " + string.Join(", ", names))}); "
            + $"name it in the .socket unit (FileDescriptorName={name}), or say fd:N with its number");
    }

    /// <summary>Reports a state, such as READY=1, if the service manager asked for it.</summary>
    internal static void Notify(string state)
    {
        if (Environment.GetEnvironmentVariable("NOTIFY_SOCKET") is not { Length: > 1 } path) return;
        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
            // An abstract name begins with a zero byte, which the variable has as @.
            socket.SendTo(Encoding.UTF8.GetBytes(state), new UnixDomainSocketEndPoint(path[0] == '@' ? '\0' + path[1..] : path));
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            ErrorLine.Write($"vmshunt-host: NOTIFY_SOCKET names {path}, which cannot be told {state}: {e.Message}");
        }
    }

    private static string[] PassedNames()
    {
        // The variables may be those of a parent.
        if (Environment.GetEnvironmentVariable("LISTEN_PID") != Environment.ProcessId.ToString(CultureInfo.InvariantCulture)) return [];
        if (!int.TryParse(Environment.GetEnvironmentVariable("LISTEN_FDS"), NumberStyles.None, CultureInfo.InvariantCulture, out var count)) return [];
        var names = (Environment.GetEnvironmentVariable("LISTEN_FDNAMES") ?? "").Split(':');
        return names.Length == count ? names : [];
    }
}
