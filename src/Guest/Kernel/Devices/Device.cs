using VmShunt.Guest.Emulating;
using VmShunt.Guest.Requests;

namespace VmShunt.Guest.Devices;

/// <summary>A device that an application has opened. Any thread.</summary>
internal abstract class Device(DeviceInfo info)
{
    /// <summary>The device as it was listed.</summary>
    public DeviceInfo Info => info;
}

/// <summary>An opened disk.</summary>
internal sealed class DiskDevice : Device
{
    private readonly Func<bool> _isFound;

    internal DiskDevice(DeviceInfo info, DiskClassDriver disk, Func<bool> isFound) : base(info)
    {
        Disk = disk;
        _isFound = isFound;
    }

    /// <summary>The class driver of its stack.</summary>
    public DiskClassDriver Disk { get; }

    /// <summary>Identifies the disk.</summary>
    /// <exception cref="DeviceNotFoundException">Queries do not find it any more.</exception>
    public DiskIdentity Identify()
    {
        if (!_isFound()) throw new DeviceNotFoundException(Info.Name);
        var geometry = Disk.Geometry;
        return new DiskIdentity(geometry.SectorCount, geometry.Serial, geometry.IsReadOnly);
    }
}

/// <summary>An opened controller.</summary>
internal sealed class ControllerDevice : Device
{
    private readonly EmulatedDisk _disk;

    internal ControllerDevice(DeviceInfo info, EmulatedDisk disk) : base(info) => _disk = disk;

    /// <summary>Maps its registers, read-only.</summary>
    public RegisterWindow MapRegisters() => new(_disk.Processors, _disk.Hba.Abar, _disk.Visibility, drivesPort: false);

    /// <summary>
    /// Builds an emulating stack on its disk: a new class driver over the disk's shunt. If the port has no driver it gets a
    /// new one; otherwise the stack shares the port's driver.
    /// </summary>
    /// <exception cref="IOException">There is no working disk, or it is hidden.</exception>
    public EmulatingStack BuildStack()
    {
        if (!_disk.Visibility.Now.IsHidden) return EmulatingStack.Build(_disk);
        _disk.Visibility.NoteSuppressed();
        throw new IOException($"there is no disk on {Info.Name}");
    }
}
