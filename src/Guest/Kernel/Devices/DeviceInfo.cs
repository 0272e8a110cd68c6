namespace VmShunt.Guest.Devices;

/// <summary>The kind of a device.</summary>
public enum DeviceKind
{
    /// <summary>A host bus adapter.</summary>
    Controller,

    /// <summary>A disk.</summary>
    Disk,
}

/// <summary>A device in an enumeration.</summary>
/// <param name="Name">The name to open it by: ahci0, sda (an emulated disk), vda (an enlightened one).</param>
/// <param name="Kind">Its kind.</param>
/// <param name="Parent">The bus or controller that it is on.</param>
/// <param name="Description">A description for people.</param>
public sealed record DeviceInfo(string Name, DeviceKind Kind, string Parent, string Description);

/// <summary>The identity of a disk.</summary>
/// <param name="SectorCount">Sectors of 512 bytes.</param>
/// <param name="Serial">Its serial number, if the path reports it.</param>
/// <param name="IsReadOnly">Whether writes fail, if the path reports it.</param>
public sealed record DiskIdentity(ulong SectorCount, string Serial, bool IsReadOnly);

/// <summary>The device does not exist, or is hidden.</summary>
public sealed class DeviceNotFoundException(string name) : IOException($"there is no device {name}; 'devices' lists the devices");
