using VmShunt.Guest.Emulating;
using VmShunt.Guest.Enlightened;
using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Trap.Ahci;

namespace VmShunt.Guest.Devices;

/// <summary>
/// The devices of the machine as applications find them: controllers, emulated disks below their shunts, and the disk of
/// the enlightened stack. A disk that its shunt hides is found by no query; its controller is, and so are other disks.
/// Any thread.
/// </summary>
public sealed class DeviceTree : IDisposable
{
    private const string Pci = "pci0", Bus = "bus0", EnlightenedName = "vda";

    private readonly EmulatedDisk _first;
    private readonly Func<EnlightenedStack?> _enlightened;
    private readonly Func<IReadOnlyList<AhciHba>> _findControllers;
    private readonly Func<AhciHba, EmulatedDisk> _attach;
    private readonly Lock _lock = new();
    private List<EmulatedDisk>? _disks;

    /// <param name="first">The disk that the kernel uses.</param>
    /// <param name="enlightened">The enlightened stack on it, or null while there is none.</param>
    /// <param name="findControllers">Enumerates the PCI bus.</param>
    /// <param name="attach">Readies another controller's disk, whose port nobody drives yet.</param>
    internal DeviceTree(
        EmulatedDisk first, Func<EnlightenedStack?> enlightened, Func<IReadOnlyList<AhciHba>> findControllers, Func<AhciHba, EmulatedDisk> attach)
    {
        _first = first;
        _enlightened = enlightened;
        _findControllers = findControllers;
        _attach = attach;
    }

    /// <summary>Queries so far that would have found a disk, or something of it, had its shunt not hidden it.</summary>
    public long SuppressedQueries => (_disks ?? [_first]).Sum(disk => disk.Visibility.Suppressed);

    /// <summary>Lists every device that may be found.</summary>
    public IReadOnlyList<DeviceInfo> Enumerate()
    {
        var found = new List<DeviceInfo>();
        foreach (var disk in Disks)
        {
            // One look at what may be seen, for the disk and for its enlightened twin.
            var view = disk.Visibility.Now;
            found.Add(ControllerInfo(disk));
            if (view.IsHidden) disk.Visibility.NoteSuppressed();
            else if (IsPresent(disk)) found.Add(DiskInfo(disk));
            if (view.IsShunted) found.Add(EnlightenedInfo());
        }
        return found;
    }

    /// <summary>Opens a device by its name.</summary>
    /// <exception cref="DeviceNotFoundException">There is none that may be found.</exception>
    /// <exception cref="IOException">It does not work.</exception>
    public Device Open(string name)
    {
        if (name == EnlightenedName && _first.Visibility.Now.IsShunted && _enlightened() is { } stack)
            return new DiskDevice(EnlightenedInfo(), stack.Disk, () => _first.Visibility.Now.IsShunted);
        foreach (var disk in Disks)
        {
            if (name == ControllerName(disk)) return new ControllerDevice(ControllerInfo(disk), disk);
            if (name != disk.Name) continue;
            if (!disk.Visibility.Now.IsHidden)
            {
                Ready(disk);
                return new DiskDevice(DiskInfo(disk), disk.Disk, () => IsFound(disk));
            }
            disk.Visibility.NoteSuppressed();
        }
        throw new DeviceNotFoundException(name);
    }

    /// <summary>Another disk than the kernel's, ready to be used.</summary>
    /// <exception cref="IOException">There is none of that name, or it does not work.</exception>
    internal EmulatedDisk OtherDisk(string name)
    {
        var disk = Disks.Skip(1).FirstOrDefault(d => d.Name == name)
            ?? throw new IOException($"there is no other disk {name}; the other disks are: {string.Join(", ", Disks.Skip(1).Select(d => d.Name).DefaultIfEmpty("none"))}");
        Ready(disk);
        return disk;
    }

    /// <summary>Gives up what was readied here.</summary>
    public void Dispose()
    {
        foreach (var disk in (_disks ?? []).Skip(1)) disk.Dispose();
    }

    // Looked for when somebody asks: it costs exits.
    private List<EmulatedDisk> Disks
    {
        get
        {
            lock (_lock) return _disks ??= [_first, .. _findControllers().Where(hba => hba.Device != _first.Hba.Device).Select(_attach)];
        }
    }

    private void Ready(EmulatedDisk disk)
    {
        lock (_lock)
        {
            if (disk != _first && !disk.Port.IsDriven) disk.JoinPort(disk.Registers);
        }
    }

    private static bool IsFound(EmulatedDisk disk)
    {
        if (!disk.Visibility.Now.IsHidden) return true;
        disk.Visibility.NoteSuppressed();
        return false;
    }

    private static bool IsPresent(EmulatedDisk disk)
    {
        var link = (uint)disk.Processors.Read(disk.Hba.Abar + (ulong)HbaRegister.OfPort(0, PortRegister.PxSSTS), sizeof(uint));
        return (link & SataLink.DETMask) == SataLink.DETEstablished;
    }

    private static string ControllerName(EmulatedDisk disk) => $"ahci{disk.Hba.Device - 1}";

    private static DeviceInfo ControllerInfo(EmulatedDisk disk) =>
        new(ControllerName(disk), DeviceKind.Controller, Pci, $"AHCI controller 00:{disk.Hba.Device:x2}.0, registers at {disk.Hba.Abar:x}");

    private static DeviceInfo DiskInfo(EmulatedDisk disk) => new(disk.Name, DeviceKind.Disk, ControllerName(disk), "ATA disk on port 0");

    private static DeviceInfo EnlightenedInfo() => new(EnlightenedName, DeviceKind.Disk, Bus, "virtio-blk disk of the enlightened stack");
}
