namespace VmShunt.Sandbox;

/// <summary>What a program forbids itself once it serves.</summary>
internal enum SandboxMode
{
    /// <summary>Nothing.</summary>
    Off,

    /// <summary>Nothing, but the kernel logs the system calls that <see cref="On"/> would refuse.</summary>
    Log,

    /// <summary>Files, ports, privileges and system calls that it does not need.</summary>
    On,
}
