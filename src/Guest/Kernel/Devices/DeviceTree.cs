using VmShunt.Guest.Emulating;
using VmShunt.Guest.Enlightened;
using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;

namespace VmShunt.Guest.Devices;

/// <summary>
/// The devices of the machine as applications find them: controllers, emulated disks, and the disk of the enlightened
/// stack. Queries do not find a disk that its shunt hides, but find its controller and other disks. Any thread.
/// </summary>
internal sealed class DeviceTree : IDisposable
{
    private const string Pci = "pci0", Bus = "bus0", EnlightenedName = "vda";

    private readonly EmulatedDisk _first;
    private readonly Func<EnlightenedStack?> _enlightened;
    private readonly Func<IReadOnlyList<AhciHba>> _findControllers;
    private readonly Func<AhciHba, EmulatedDisk> _attach;
    private readonly Lock _lock = new();
    private List<EmulatedDisk>? _disks;

    /// <param name="first">The kernel's disk.</param>
    /// <param name="enlightened">Returns the enlightened stack on it, or null.</param>
    /// <param name="findControllers">Enumerates the PCI bus.</param>
    /// <param name="attach">Prepares the disk of another controller, whose port has no driver yet.</param>
    internal DeviceTree(
        EmulatedDisk first, Func<EnlightenedStack?> enlightened, Func<IReadOnlyList<AhciHba>> findControllers, Func<AhciHba, EmulatedDisk> attach)
    {
        _first = first;
        _enlightened = enlightened;
        _findControllers = findControllers;
        _attach = attach;
    }

    /// <summary>Queries so far that did not find a disk because its shunt hid it.</summary>
    public long SuppressedQueries => (Ordered.Load(ref _disks) ?? [_first]).Sum(disk => disk.Visibility.Suppressed);

    /// <summary>Lists the devices.</summary>
    public IReadOnlyList<DeviceInfo> Enumerate()
    {
        var found = new List<DeviceInfo>();
        foreach (var disk in Disks)
        {
            // Loaded once: the disk is listed either here or in the enlightened stack.
            var view = disk.Visibility.Now;
            found.Add(ControllerInfo(disk));
            if (view.IsHidden) disk.Visibility.NoteSuppressed();
            else if (IsPresent(disk)) found.Add(DiskInfo(disk));
            if (view.IsShunted) found.Add(EnlightenedInfo());
        }
        return found;
    }

    /// <summary>Opens a device by its name.</summary>
    /// <exception cref="DeviceNotFoundException">The device does not exist, or is hidden.</exception>
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
                Prepare(disk);
                return new DiskDevice(DiskInfo(disk), disk.Disk, () => IsFound(disk));
            }
            disk.Visibility.NoteSuppressed();
        }
        throw new DeviceNotFoundException(name);
    }

    /// <summary>Prepares another disk than the kernel's.</summary>
    /// <exception cref="IOException">There is no such disk, or it does not work.</exception>
    internal EmulatedDisk OtherDisk(string name)
    {
        var disk = Disks.Skip(1).FirstOrDefault(d => d.Name == name)
            ?? throw new IOException($"there is no other disk {name}; the other disks are: {string.Join(", ", Disks.Skip(1).Select(d => d.Name).DefaultIfEmpty("none"))}");
        Prepare(disk);
        return disk;
    }

    /// <summary>Releases the other disks.</summary>
    public void Dispose()
    {
        foreach (var disk in (_disks ?? []).Skip(1)) disk.Dispose();
    }

    // Enumerated at the first query: it costs VM exits.
    private List<EmulatedDisk> Disks
    {
        get
        {
            lock (_lock)
            {
                if (_disks is null) Ordered.Store(ref _disks, [_first, .. _findControllers().Where(hba => hba.Device != _first.Hba.Device).Select(_attach)]);
                return _disks!;
            }
        }
    }

    private void Prepare(EmulatedDisk disk)
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
