namespace VmShunt.EndToEnd.Qemu;

/// <summary>A fact with QEMU from sid. Without it the test is skipped, but not in CI: there it runs, and fails.</summary>
public sealed class QemuSidFactAttribute : FactAttribute
{
    public QemuSidFactAttribute() => Skip = QemuSid.Missing();
}

/// <summary>As <see cref="QemuSidFactAttribute"/>, with data.</summary>
public sealed class QemuSidTheoryAttribute : TheoryAttribute
{
    public QemuSidTheoryAttribute() => Skip = QemuSid.Missing();
}
