using System.Reflection;
using VmShunt.Trap.Ahci;

namespace VmShunt.Guest.Observing;

/// <summary>The names of an AHCI controller's registers (AHCI 1.3.1 §3).</summary>
internal static class RegisterNames
{
    private static readonly Dictionary<int, string> s_hba = ConstantsOf(typeof(HbaRegister));
    private static readonly Dictionary<int, string> s_port = ConstantsOf(typeof(PortRegister));

    /// <summary>The name of the register at an address.</summary>
    internal static string Of(ulong address, ulong abar)
    {
        if (address < abar || address - abar > int.MaxValue) return $"0x{address:X}";
        var offset = (int)(address - abar);
        var inPort = offset - HbaRegister.Ports;
        if (inPort >= 0 && s_port.TryGetValue(inPort % HbaRegister.PortStride, out var port)) return port;
        return inPort < 0 && s_hba.TryGetValue(offset, out var hba) ? hba : $"ABAR+0x{offset:X}";
    }

    private static Dictionary<int, string> ConstantsOf(Type registers) =>
        registers.GetFields(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static)
            .Where(static f => f.IsLiteral && f.FieldType == typeof(int))
            .GroupBy(static f => (int)f.GetRawConstantValue()!)
            .ToDictionary(static g => g.Key, static g => g.First().Name);
}
