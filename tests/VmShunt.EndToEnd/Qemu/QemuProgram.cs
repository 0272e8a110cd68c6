using System.Reflection;
using VmShunt.EndToEnd.Processes;
using Xunit.Sdk;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>A QEMU that tests run: the machine's, or that of Debian's sid.</summary>
/// <param name="IsSid">Whether it is sid's.</param>
internal sealed record QemuProgram(bool IsSid)
{
    internal static QemuProgram Machine { get; } = new(IsSid: false);

    internal static QemuProgram Sid { get; } = new(IsSid: true);

    /// <summary>The program and its first arguments.</summary>
    internal string[] Command => IsSid ? QemuSid.Command() : [Installed.Require("qemu-system-x86_64")];

    /// <summary>The option of a socket chardev that reconnects after a second; 9.2 renamed it.</summary>
    internal string Reconnect => IsSid ? ",reconnect-ms=1000" : ",reconnect=1";

    internal static QemuProgram Of(string name) => name == QemuDataAttribute.Sid ? Sid : Machine;
}

/// <summary>A row of a theory for one QEMU, whose name is the first argument. Without that QEMU the row is skipped, but not in CI.</summary>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
public sealed class QemuDataAttribute : DataAttribute
{
    internal const string Machine = "machine", Sid = "sid";

    private readonly object[] _row;

    public QemuDataAttribute(string qemu, params object[] row)
    {
        _row = [qemu, .. row];
        Skip = qemu == Sid ? QemuSidFactAttribute.Missing() : null;
    }

    public override IEnumerable<object[]> GetData(MethodInfo testMethod) => [_row];
}
