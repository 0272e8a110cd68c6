using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;

namespace VmShunt.Guest.Shunt.Modes;

/// <summary>
/// The shunt is inserted into the emulating stack when the enlightened mode is entered, and removed when it is left. It has
/// no switch and diverts every primary request.
/// </summary>
internal readonly struct PresenceMode : IModeSource
{
    public bool TryDivert(BlockRequest request, IEnlightenedEntry entry, IBlockDriver below)
    {
        request.Fallback = below;
        entry.Submit(request);
        return true;
    }
}
