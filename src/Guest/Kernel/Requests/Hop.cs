namespace VmShunt.Guest.Requests;

/// <summary>A point that a request passes on its path through the two stacks, down and up again.</summary>
internal enum Hop : byte
{
    /// <summary>The application submitted it to a class driver.</summary>
    Entered,

    /// <summary>The shunt received it.</summary>
    Shunt,

    /// <summary>The shunt of the enlightened stack received it.</summary>
    ReverseShunt,

    /// <summary>The port driver of the emulating stack (port driver-em) received it.</summary>
    PortDriverEm,

    /// <summary>The port driver of the enlightened stack (port driver-en) received it.</summary>
    PortDriverEn,

    /// <summary>It is described in memory: in a descriptor chain, or in the command list.</summary>
    Described,

    /// <summary>It is visible to the device: the ring was published and kicked if needed, or PxCI was written.</summary>
    Issued,

    /// <summary>The driver saw its completion: a used element, or a cleared bit of PxCI.</summary>
    Noticed,

    /// <summary>Its driver rejected it, and it takes its fallback.</summary>
    GivenBack,

    /// <summary>The application's task completed.</summary>
    Completed,
}
