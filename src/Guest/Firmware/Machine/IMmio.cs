namespace VmShunt.Guest.Firmware.Machine;

/// <summary>How code in VM-C reaches a device register: a load or store that the machine turns into whatever is there.</summary>
public interface IMmio
{
    /// <summary>Loads 1, 2, 4 or 8 bytes from a guest-physical address.</summary>
    ulong Read(ulong address, int size);

    /// <summary>Stores 1, 2, 4 or 8 bytes at a guest-physical address.</summary>
    void Write(ulong address, int size, ulong value);
}
