using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Shunt.Modes;

/// <summary>
/// The shunt is put into the emulating stack when the enlightened side is instantiated, and taken out with it. It knows no
/// mode: that it is there is the mode, and everything that meets it is diverted.
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
