using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Emulating;

namespace VmShunt.Guest.Devices;

/// <summary>A device that an application has opened. Any thread.</summary>
public abstract class Device(DeviceInfo info)
{
    /// <summary>As it was listed.</summary>
    public DeviceInfo Info => info;
}

/// <summary>An opened disk.</summary>
public sealed class DiskDevice : Device
{
    private readonly Func<bool> _isThere;

    internal DiskDevice(DeviceInfo info, DiskClassDriver disk, Func<bool> isThere) : base(info)
    {
        Disk = disk;
        _isThere = isThere;
    }

    /// <summary>The class driver of its stack, for requests.</summary>
    public DiskClassDriver Disk { get; }

    /// <summary>Asks it what it is.</summary>
    /// <exception cref="DeviceNotFoundException">It is not there any more.</exception>
    public DiskIdentity Identify()
    {
        if (!_isThere()) throw new DeviceNotFoundException(Info.Name);
        var geometry = Disk.Geometry;
        return new DiskIdentity(geometry.SectorCount, geometry.Serial, geometry.IsReadOnly);
    }
}

/// <summary>An opened controller.</summary>
public sealed class ControllerDevice : Device
{
    private readonly EmulatedDisk _disk;

    internal ControllerDevice(DeviceInfo info, EmulatedDisk disk) : base(info) => _disk = disk;

    /// <summary>Maps its registers, for looking.</summary>
    public RegisterWindow MapRegisters() => new(_disk.Processors, _disk.Hba.Abar, _disk.Visibility, drivesPort: false);

    /// <summary>
    /// Builds an emulating stack on its disk: a class driver of the caller's own over the disk's shunt. If nobody drives the
    /// port the caller's own port driver does from now on, over the registers of this device; otherwise the stack passes
    /// down through the driver that does.
    /// </summary>
    /// <exception cref="IOException">There is no working disk, or none that may be found.</exception>
    public EmulatingStack BuildStack()
    {
        if (!_disk.Visibility.Now.IsHidden) return EmulatingStack.Build(_disk);
        _disk.Visibility.NoteSuppressed();
        throw new IOException($"there is no disk on {Info.Name}");
    }
}
