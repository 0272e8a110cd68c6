using VmShunt.Trap.Ahci;

namespace VmShunt.AhciBackend.Controller;

/// <summary>The FIS with which a device reports the result of a command.</summary>
internal enum AtaReport
{
    /// <summary>None (software reset asserted).</summary>
    None,

    /// <summary>Register D2H FIS with the interrupt bit.</summary>
    Register,

    /// <summary>Register D2H FIS without the interrupt bit: the signature after a reset.</summary>
    Signature,

    /// <summary>PIO Setup FIS before the data, and no FIS after it.</summary>
    PioSetup,

    /// <summary>Set Device Bits FIS, which may report several queued commands.</summary>
    SetDeviceBits,
}

/// <summary>The result of an ATA command: the device's registers and the FIS that carries them.</summary>
internal readonly record struct AtaResult(AtaReport Report, AtaStatus Status, AtaError Error, AtaAddress Address)
{
    /// <summary>The signature after power-on, COMRESET, software reset and diagnostic (ATA8-AST; AHCI 1.3.1 §3.3.9).</summary>
    internal static AtaResult Signature { get; } =
        new(AtaReport.Signature, AtaStatus.Ready, AtaError.DiagnosticPassed, new AtaAddress { Lba0 = 1, Count = 1 });

    internal bool Failed => (Status & AtaStatus.ERR) != 0;

    internal static AtaResult Good(in AtaAddress address) => new(AtaReport.Register, AtaStatus.Ready, AtaError.None, address);

    internal static AtaResult Bad(AtaError error, in AtaAddress address, AtaStatus more = AtaStatus.None) =>
        new(AtaReport.Register, AtaStatus.Ready | AtaStatus.ERR | more, error, address);
}
