using System.Reflection;
using System.Runtime.Loader;

namespace VmShunt.Guest.Loader;

/// <summary>
/// The kernel's assemblies as they came from the disk. What the machine's firmware is made of (Ring, Trap, Firmware) stays
/// the loader's own, since loader and kernel meet in it; everything else that the image holds is taken from the image.
/// </summary>
internal sealed class KernelImage(IReadOnlyDictionary<string, byte[]> assemblies) : AssemblyLoadContext("kernel")
{
    protected override Assembly? Load(AssemblyName assemblyName)
    {
        if (assemblyName.Name is "VmShunt.Ring" or "VmShunt.Trap" or "VmShunt.Guest.Firmware") return null;
        if (!assemblies.TryGetValue(assemblyName.Name + ".dll", out var bytes)) return null;
        using var stream = new MemoryStream(bytes, writable: false);
        return LoadFromStream(stream);
    }
}
