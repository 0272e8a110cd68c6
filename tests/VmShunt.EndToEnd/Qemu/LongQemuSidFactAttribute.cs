using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>As <see cref="QemuSidFactAttribute"/>, for the long form of the suite only: it boots a guest more than once.</summary>
public sealed class LongQemuSidFactAttribute : FactAttribute
{
    public LongQemuSidFactAttribute() => Skip = LongForm.IsSelected ? QemuSid.Missing() : $"only in the long form: {LongForm.Variable}=1";
}
