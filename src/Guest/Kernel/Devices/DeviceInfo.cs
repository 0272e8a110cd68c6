namespace VmShunt.Guest.Devices;

/// <summary>What a device is.</summary>
public enum DeviceKind
{
    /// <summary>A host bus adapter, on which disks are.</summary>
    Controller,

    /// <summary>A disk.</summary>
    Disk,
}

/// <summary>A device as an enumeration lists it.</summary>
/// <param name="Name">What it is opened by: ahci0, sda (an emulated disk), vda (an enlightened one).</param>
/// <param name="Kind">What it is.</param>
/// <param name="Parent">What it is on.</param>
/// <param name="Description">For people.</param>
public sealed record DeviceInfo(string Name, DeviceKind Kind, string Parent, string Description);

/// <summary>What a disk says of itself.</summary>
/// <param name="SectorCount">Sectors of 512 bytes.</param>
/// <param name="Serial">Its serial number, where the road can tell.</param>
/// <param name="IsReadOnly">Writes will fail, where the road can tell.</param>
public sealed record DiskIdentity(ulong SectorCount, string Serial, bool IsReadOnly);

/// <summary>There is no such device, or none any more, as far as whoever asks may know.</summary>
public sealed class DeviceNotFoundException(string name) : IOException($"there is no device {name}; 'devices' lists those there are");
