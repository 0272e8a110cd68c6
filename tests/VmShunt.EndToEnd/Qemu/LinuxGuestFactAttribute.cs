namespace VmShunt.EndToEnd.Qemu;

/// <summary>A fact with a Linux guest in QEMU. Without the programs it is skipped, but not in CI: there it runs, and fails.</summary>
public sealed class LinuxGuestFactAttribute : FactAttribute
{
    public LinuxGuestFactAttribute() => Skip = LinuxGuest.Missing();
}

/// <summary>As <see cref="LinuxGuestFactAttribute"/>, with data.</summary>
public sealed class LinuxGuestTheoryAttribute : TheoryAttribute
{
    public LinuxGuestTheoryAttribute() => Skip = LinuxGuest.Missing();
}
