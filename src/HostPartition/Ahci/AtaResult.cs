using VmShunt.Trap.Ahci;

namespace VmShunt.HostPartition.Ahci;

/// <summary>With which frame a device reports that it has done a command.</summary>
internal enum AtaReport
{
    /// <summary>None: the frame was accepted, and that is all (software reset asserted).</summary>
    None,

    /// <summary>Register FIS, with the interrupt bit.</summary>
    Register,

    /// <summary>Register FIS without the interrupt bit: the signature after a reset.</summary>
    Signature,

    /// <summary>PIO Setup FIS before the data, and nothing after it.</summary>
    PioSetup,

    /// <summary>None yet: the command was not finished and is to be done again from its start.</summary>
    Unfinished,
}

/// <summary>What the ATA device answers: the registers, and the frame that carries them.</summary>
internal readonly record struct AtaResult(AtaReport Report, AtaStatus Status, AtaError Error, AtaAddress Address)
{
    /// <summary>What a disk sends after power-on, COMRESET, software reset and diagnostic (ATA8-AST; AHCI 1.3.1 §3.3.9).</summary>
    internal static AtaResult Signature { get; } =
        new(AtaReport.Signature, AtaStatus.Ready, AtaError.DiagnosticPassed, new AtaAddress { Lba0 = 1, Count = 1 });

    /// <summary>The disk is full, and the command was told not to wait.</summary>
    internal static AtaResult Unfinished { get; } = new(AtaReport.Unfinished, AtaStatus.Ready, AtaError.None, default);

    internal bool Failed => (Status & AtaStatus.ERR) != 0;

    internal static AtaResult Good(in AtaAddress address) => new(AtaReport.Register, AtaStatus.Ready, AtaError.None, address);

    internal static AtaResult Bad(AtaError error, in AtaAddress address, AtaStatus more = AtaStatus.None) =>
        new(AtaReport.Register, AtaStatus.Ready | AtaStatus.ERR | more, error, address);
}
