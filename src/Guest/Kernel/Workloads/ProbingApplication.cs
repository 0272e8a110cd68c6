using VmShunt.BlockDriver.Memory;
using VmShunt.Guest.Devices;
using VmShunt.Guest.Requests;
using VmShunt.Trap.Ahci;

namespace VmShunt.Guest.Workloads;

/// <summary>
/// An application that searches for disks by every means of the device tree and reads each one it finds: by enumeration, by
/// well-known names, and by the registers of each controller, where it builds its own stack.
/// </summary>
internal sealed class ProbingApplication(DeviceTree devices, GuestPages pages, int requestsPerDisk)
{
    private static readonly string[] s_diskNames = ["sda", "sdb", "sdc", "vda"];
    private static readonly string[] s_controllerNames = ["ahci0", "ahci1", "ahci2"];

    /// <summary>The disks found, by the means.</summary>
    /// <param name="Listed">Disks found by enumeration.</param>
    /// <param name="Named">Disks found by name that answer an identify query.</param>
    /// <param name="Registers">Controllers whose registers show a disk.</param>
    /// <param name="Requests">Requests submitted to the disks found.</param>
    internal sealed record Found(IReadOnlyList<string> Listed, IReadOnlyList<string> Named, IReadOnlyList<string> Registers, long Requests);

    internal Found Run()
    {
        long requests = 0;
        var listed = devices.Enumerate().Where(d => d.Kind == DeviceKind.Disk).Select(d => d.Name).ToList();
        foreach (var name in listed) requests += Use(name);
        var named = s_diskNames.Where(name => Identify(name) is { SectorCount: > 0 }).ToList();
        foreach (var name in named) requests += Use(name);
        var registers = s_controllerNames.Where(ShowsDisk).ToList();
        foreach (var name in registers)
        {
            using var stack = ((ControllerDevice)devices.Open(name)).BuildStack();
            requests += Use(stack.Disk);
        }
        return new Found(listed, named, registers, requests);
    }

    private DiskIdentity? Identify(string name)
    {
        try
        {
            return ((DiskDevice)devices.Open(name)).Identify();
        }
        catch (DeviceNotFoundException)
        {
            return null;
        }
    }

    private bool ShowsDisk(string controller)
    {
        ControllerDevice device;
        try
        {
            device = (ControllerDevice)devices.Open(controller);
        }
        catch (DeviceNotFoundException)
        {
            return false;
        }
        var registers = device.MapRegisters();
        if ((Read(HbaRegister.PI) & 1) == 0) return false;
        return (Read(HbaRegister.OfPort(0, PortRegister.PxSSTS)) & SataLink.DETMask) == SataLink.DETEstablished
            && Read(HbaRegister.OfPort(0, PortRegister.PxSIG)) != uint.MaxValue;

        uint Read(int register) => (uint)registers.Read(registers.Address + (ulong)register, sizeof(uint));
    }

    private int Use(string name) => Use(((DiskDevice)devices.Open(name)).Disk);

    private int Use(DiskClassDriver disk)
    {
        var buffer = pages.Allocate(DiskClassDriver.SectorBytes);
        try
        {
            for (var i = 0; i < requestsPerDisk; i++) disk.ReadAsync((ulong)i % disk.Geometry.SectorCount, buffer).AsTask().GetAwaiter().GetResult();
            return requestsPerDisk;
        }
        finally
        {
            pages.Free(buffer);
        }
    }
}
