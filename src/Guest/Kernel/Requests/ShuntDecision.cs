namespace VmShunt.Guest.Requests;

/// <summary>A shunt's decision about a request, and its reason.</summary>
internal enum ShuntDecision : byte
{
    /// <summary>It met no shunt.</summary>
    None,

    /// <summary>Diverted to the enlightened side.</summary>
    Diverted,

    /// <summary>Passed down: the mode is emulating.</summary>
    EmulatingMode,

    /// <summary>Passed down: the policy makes it secondary.</summary>
    Secondary,

    /// <summary>Passed down: the enlightened side did not accept it.</summary>
    NotAccepted,

    /// <summary>Diverted out of the enlightened stack by the reverse shunt.</summary>
    ReverseDiverted,
}
