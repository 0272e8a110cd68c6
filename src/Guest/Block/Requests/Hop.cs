namespace VmShunt.BlockDriver.Requests;

/// <summary>A station on a request's way through the two stacks, from the top down and up again.</summary>
internal enum Hop : byte
{
    /// <summary>The application handed it to a class driver.</summary>
    Entered,

    /// <summary>It met the shunt.</summary>
    Shunt,

    /// <summary>It met the shunt of the enlightened stack.</summary>
    ReverseShunt,

    /// <summary>Port driver-em has it.</summary>
    PortDriverEm,

    /// <summary>Port driver-en has it.</summary>
    PortDriverEn,

    /// <summary>It is described in memory: descriptors in the ring, or a command in the command list.</summary>
    Described,

    /// <summary>The device can see it: the ring's index was published and, where needed, the device kicked; or PxCI was written.</summary>
    Issued,

    /// <summary>The device was found to have done it: a used element, or a cleared bit of PxCI.</summary>
    Noticed,

    /// <summary>Who had it could not go on with it, and it takes another way.</summary>
    GivenBack,

    /// <summary>The application's task ended.</summary>
    Completed,
}
