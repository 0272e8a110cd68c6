using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;

namespace VmShunt.Guest.Shunt.Modes;

/// <summary>
/// How a shunt knows the mode. Asked once per primary request. Implemented by structs, so that the compiler inlines it into
/// the shunt.
/// </summary>
internal interface IModeSource
{
    /// <summary>Diverts a request if the mode is enlightened; the enlightened side then owns it.</summary>
    /// <param name="request">The request.</param>
    /// <param name="entry">Where it enters the enlightened side.</param>
    /// <param name="below">The emulating stack below the shunt: takes the request if the ring is lost before it completes.</param>
    /// <returns>False when the mode is emulating; the request is unchanged.</returns>
    bool TryDivert(BlockRequest request, IEnlightenedEntry entry, IBlockDriver below);
}

/// <summary>The mode sources.</summary>
internal enum ModeSource
{
    /// <summary>Mode control sets the switch of a permanent shunt (<see cref="ToldMode"/>).</summary>
    Told,

    /// <summary>The shunt is inserted and removed together with the enlightened stack (<see cref="PresenceMode"/>).</summary>
    Arrives,

    /// <summary>A permanent shunt checks whether the port driver (enlightened) has a bus (<see cref="LookingMode"/>).</summary>
    Looks,

    /// <summary>A permanent shunt tries the port driver (enlightened) first (<see cref="TryingMode"/>).</summary>
    Tries,

    /// <summary>The port driver (enlightened) sets the switch of a permanent shunt (<see cref="CommandedMode"/>).</summary>
    Commanded,
}
