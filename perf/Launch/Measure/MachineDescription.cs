using System.Runtime.InteropServices;
using VmShunt.Perf.Launch.Model;

namespace VmShunt.Perf.Measure;

/// <summary>Describes the machine on which the figures were measured.</summary>
internal static class MachineDescription
{
    internal static MachineResult Read() =>
        new(Processor(), Environment.ProcessorCount, Kernel(), RuntimeInformation.FrameworkDescription);

    private static string Processor()
    {
        foreach (var line in File.ReadLines("/proc/cpuinfo"))
            if (line.StartsWith("model name", StringComparison.Ordinal)) return line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
        return RuntimeInformation.ProcessArchitecture.ToString();
    }

    private static string Kernel() => File.ReadAllText("/proc/sys/kernel/osrelease").Trim();
}
