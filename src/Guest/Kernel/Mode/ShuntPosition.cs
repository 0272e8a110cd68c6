namespace VmShunt.Guest.Mode;

/// <summary>Where in the emulating stack the shunt is.</summary>
internal enum ShuntPosition
{
    /// <summary>Between class driver-em and port driver-em; diverts to port driver-en.</summary>
    BelowClass,

    /// <summary>Above class driver-em, which does not see what is diverted; diverts to class driver-en.</summary>
    AboveClass,

    /// <summary>Below port driver-em, at the registers.</summary>
    BelowPort,
}
