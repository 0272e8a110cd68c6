using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Emulating;

namespace VmShunt.Guest.Devices;

/// <summary>An emulating stack that an application has built. Disposing it takes it away; requests inside end first.</summary>
public sealed class EmulatingStack : IDisposable
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

    /// <summary>Whether its own port driver drives the port; if not, that of an earlier stack does for both.</summary>
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
