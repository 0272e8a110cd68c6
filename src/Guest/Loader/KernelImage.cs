using System.Reflection;
using System.Runtime.Loader;

namespace VmShunt.Guest.Loader;

/// <summary>
/// Loads the kernel's assemblies from the OS image. Ring, Trap and Firmware resolve to the loader's own copies, because
/// loader and kernel share their types.
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
