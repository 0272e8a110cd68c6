namespace VmShunt.Hypervisor;

/// <summary>One <c>--device</c>: a name and where VM-H serves it.</summary>
/// <param name="Name">What people call it.</param>
/// <param name="RegisterSocket">Where its registers are served.</param>
/// <param name="BusSocket">Where its bus channels are served, or null: then no bus is offered.</param>
internal sealed record DeviceSpec(string Name, string RegisterSocket, string? BusSocket)
{
    private const string Form = "NAME,vfio-user=SOCKET[,vhost-user=SOCKET]";

    /// <summary>Reads the text of an option.</summary>
    /// <exception cref="FormatException">It is wrong; the message says what and what to write.</exception>
    internal static DeviceSpec Parse(string text)
    {
        var parts = text.Split(',');
        var name = parts[0];
        if (name.Length == 0 || name.Contains('=', StringComparison.Ordinal)) throw Wrong(text, "it does not begin with a name");
        string? vfio = null, vhost = null;
        foreach (var part in parts.AsSpan(1))
        {
            if (Value(part, "vfio-user=") is { } v && vfio is null) vfio = v;
            else if (Value(part, "vhost-user=") is { } b && vhost is null) vhost = b;
            else throw Wrong(text, $"'{part}' is not understood there");
        }
        return vfio is null ? throw Wrong(text, "vfio-user=SOCKET is missing") : new DeviceSpec(name, vfio, vhost);
    }

    private static string? Value(string part, string key) =>
        part.StartsWith(key, StringComparison.Ordinal) && part.Length > key.Length ? part[key.Length..] : null;

    private static FormatException Wrong(string text, string why) => new($"--device {text}: {why}; write {Form}");
}
