namespace VmShunt.Trap.Ahci;

/// <summary>The generic host control registers: byte offsets in the ABAR (AHCI 1.3.1 §3.1). Each is 32 bits wide.</summary>
public static class HbaRegister
{
    /// <summary>HBA capabilities; see <see cref="HbaCapabilities"/>.</summary>
    public const int CAP = 0x00;

    /// <summary>Global host control; see <see cref="GlobalHostControl"/>.</summary>
    public const int GHC = 0x04;

    /// <summary>Interrupt status: one write-1-to-clear bit per port.</summary>
    public const int IS = 0x08;

    /// <summary>Ports implemented: one bit per port.</summary>
    public const int PI = 0x0C;

    /// <summary>The AHCI version: major in the high half, minor in the low half.</summary>
    public const int VS = 0x10;

    /// <summary>Command completion coalescing control.</summary>
    public const int CCC_CTL = 0x14;

    /// <summary>Command completion coalescing ports.</summary>
    public const int CCC_PORTS = 0x18;

    /// <summary>Enclosure management location.</summary>
    public const int EM_LOC = 0x1C;

    /// <summary>Enclosure management control.</summary>
    public const int EM_CTL = 0x20;

    /// <summary>HBA capabilities extended.</summary>
    public const int CAP2 = 0x24;

    /// <summary>BIOS/OS handoff control and status.</summary>
    public const int BOHC = 0x28;

    /// <summary>The offset of port 0's registers.</summary>
    public const int Ports = 0x100;

    /// <summary>The distance between the registers of two ports.</summary>
    public const int PortStride = 0x80;

    /// <summary>The size of the ABAR in bytes: one page.</summary>
    public const int AbarBytes = 0x1000;

    /// <summary>The value of <see cref="VS"/> for AHCI 1.3.1.</summary>
    public const uint Version131 = 0x0001_0301;

    /// <summary>The offset of a port's register.</summary>
    /// <param name="port">The port, 0 to 31.</param>
    /// <param name="register">Its offset within the port, from <see cref="PortRegister"/>.</param>
    public static int OfPort(int port, int register) => Ports + port * PortStride + register;
}
