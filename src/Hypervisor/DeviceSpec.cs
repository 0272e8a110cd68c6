using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>One <c>--device</c>: a name and VM-H's sockets for it.</summary>
/// <param name="Name">The name shown to users.</param>
/// <param name="RegisterSocket">The vfio-user socket: registers.</param>
/// <param name="BusSocket">The vhost-user socket: the bus; null: no bus is offered.</param>
internal sealed record DeviceSpec(string Name, string RegisterSocket, string? BusSocket)
{
    internal const string Form = "NAME,vfio-user=SOCKET[,vhost-user=SOCKET], with a comma in a value written twice";

    /// <summary>Parses the value of an option.</summary>
    /// <exception cref="FormatException">It is invalid; the message says why.</exception>
    internal static DeviceSpec Parse(string text)
    {
        var parts = Split(text);
        var name = parts[0];
        if (name.Length == 0 || name.Contains('=', StringComparison.Ordinal)) throw Invalid(text, "does not begin with a name");
        string? vfio = null, vhost = null;
        foreach (var part in parts.AsSpan(1))
        {
            if (Value(part, "vfio-user=") is { } v && vfio is null) vfio = v;
            else if (Value(part, "vhost-user=") is { } b && vhost is null) vhost = b;
            else throw Invalid(text, $"contains '{part}'");
        }
        return vfio is null ? throw Invalid(text, "lacks vfio-user=SOCKET") : new DeviceSpec(name, vfio, vhost);
    }

    /// <summary>What is wrong with the values of all options together, or null.</summary>
    internal static string? FindProblem(IReadOnlyList<string> texts)
    {
        try
        {
            var duplicate = texts.Select(Parse).GroupBy(spec => spec.Name).FirstOrDefault(group => group.Count() > 1);
            if (duplicate is not null) return $"--device takes each name once; {duplicate.Key} is given {duplicate.Count()} times";
            return texts.Count > GuestLayout.MaxDevices ? $"--device takes at most {GuestLayout.MaxDevices} devices" : null;
        }
        catch (FormatException e)
        {
            return e.Message;
        }
    }

    private static string[] Split(string text)
    {
        // No value holds a null character.
        const char comma = '\0';
        return [.. text.Replace(",,", comma.ToString(), StringComparison.Ordinal).Split(',').Select(static part => part.Replace(comma, ','))];
    }

    private static string? Value(string part, string key) =>
        part.StartsWith(key, StringComparison.Ordinal) && part.Length > key.Length ? part[key.Length..] : null;

    private static FormatException Invalid(string text, string why) => new($"--device takes {Form}; '{text}' {why}");
}
