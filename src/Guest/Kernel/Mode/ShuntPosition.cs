namespace VmShunt.Guest.Mode;

/// <summary>The position of the shunt in the emulating stack.</summary>
internal enum ShuntPosition
{
    /// <summary>Between class driver and port driver (emulating); diverts to the port driver (enlightened).</summary>
    BelowClass,

    /// <summary>Above the class driver (emulating), which does not see diverted requests; diverts to the class driver (enlightened).</summary>
    AboveClass,

    /// <summary>Below the port driver (emulating), at the registers.</summary>
    BelowPort,
}
