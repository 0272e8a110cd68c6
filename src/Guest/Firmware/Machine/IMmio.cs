namespace VmShunt.Guest.Firmware.Machine;

/// <summary>Loads and stores of device registers in VM-C. On a virtual machine each one is a VM exit.</summary>
public interface IMmio
{
    /// <summary>Loads 1, 2, 4 or 8 bytes from a guest-physical address.</summary>
    ulong Read(ulong address, int size);

    /// <summary>Stores 1, 2, 4 or 8 bytes at a guest-physical address.</summary>
    void Write(ulong address, int size, ulong value);
}
