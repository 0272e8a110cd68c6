namespace VmShunt.Sandbox;

/// <summary>What a program's options say that it will need: everything else is refused.</summary>
/// <param name="Paths">Files and folders, with what is done there. Those that do not exist are left out.</param>
/// <param name="Ports">TCP ports that it connects to.</param>
internal sealed record SandboxNeeds(IReadOnlyList<(string Path, PathRights Rights)> Paths, IReadOnlyList<int> Ports)
{
    /// <summary>It connects to Unix sockets or TCP ports after its start.</summary>
    internal bool Connects { get; init; }

    /// <summary>It uses TCP and looks names up: sockets of the Internet families.</summary>
    internal bool UsesNetwork { get; init; }

    /// <summary>It encrypts connections: the certificate authorities of the system.</summary>
    internal bool UsesTls { get; init; }

    /// <summary>It creates io_uring instances.</summary>
    internal bool UsesUring { get; init; }
}
