using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Shunt.Modes;

/// <summary>
/// How a shunt knows the mode. Asked once a primary request, which so sees one mode, whole. Implemented by structs, so that
/// a shunt is compiled with it inside.
/// </summary>
internal interface IModeSource
{
    /// <summary>Diverts a request if the mode is enlightened; from then on it is the enlightened side's.</summary>
    /// <param name="request">The request.</param>
    /// <param name="entry">Where it enters the enlightened side.</param>
    /// <param name="below">The emulating stack below the shunt: takes it if the ring goes away with the request on it.</param>
    /// <returns>False: the mode is emulating; the request is untouched.</returns>
    bool TryDivert(BlockRequest request, IEnlightenedEntry entry, IBlockDriver below);
}

/// <summary>The sources that there are.</summary>
internal enum ModeSource
{
    /// <summary>Another part of VM-C tells a permanent shunt (<see cref="ToldMode"/>).</summary>
    Told,

    /// <summary>The shunt arrives with the enlightened stack and leaves with it (<see cref="PresenceMode"/>).</summary>
    Arrives,

    /// <summary>A permanent shunt looks whether port driver-en is there (<see cref="LookingMode"/>).</summary>
    Looks,

    /// <summary>A permanent shunt tries port driver-en first (<see cref="TryingMode"/>).</summary>
    Tries,

    /// <summary>Port driver-en commands a permanent shunt (<see cref="CommandedMode"/>).</summary>
    Commanded,
}
