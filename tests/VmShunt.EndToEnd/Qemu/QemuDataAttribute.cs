using System.Reflection;
using Xunit.Sdk;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>A row of a theory for one QEMU, whose name is the first argument. Without that QEMU the row is skipped, but not in CI.</summary>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
public sealed class QemuDataAttribute : DataAttribute
{
    internal const string Machine = "machine", Sid = "sid";

    private readonly object[] _row;

    public QemuDataAttribute(string qemu, params object[] row)
    {
        _row = [qemu, .. row];
        Skip = qemu == Sid ? QemuSid.Missing() : null;
    }

    public override IEnumerable<object[]> GetData(MethodInfo testMethod) => [_row];
}
