using VmShunt.Guest.Emulating;
using VmShunt.Guest.Requests;

namespace VmShunt.Guest.Devices;

/// <summary>An emulating stack that an application has built. Disposing it waits for its requests and removes it.</summary>
internal sealed class EmulatingStack : IDisposable
{
    private readonly EmulatedDisk _disk;

    private EmulatingStack(EmulatedDisk disk, bool drivesPort)
    {
        _disk = disk;
        DrivesPort = drivesPort;
        Disk = disk.BuildClassDriver("application's");
    }

    /// <summary>Its class driver.</summary>
    public DiskClassDriver Disk { get; }

    /// <summary>Whether the port has this stack's own port driver, or shares that of an earlier stack.</summary>
    public bool DrivesPort { get; }

    internal static EmulatingStack Build(EmulatedDisk disk)
    {
        var registers = new RegisterWindow(disk.Registers, disk.Hba.Abar, disk.Visibility, drivesPort: true);
        return new EmulatingStack(disk, disk.JoinPort(registers));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Disk.Close();
        _disk.LeavePort();
    }
}
