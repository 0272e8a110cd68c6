using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Shunt.Modes;

/// <summary>
/// The shunt is permanent and knows no mode: it offers each request to port driver-en, which may not accept it (it is not
/// there, its bus is closing, its ring is full, VM-H does not do such requests there); then the request is emulated.
/// </summary>
internal readonly struct TryingMode : IModeSource
{
    public bool TryDivert(BlockRequest request, IEnlightenedEntry entry, IBlockDriver below)
    {
        // Before it is offered: once accepted it is no longer ours.
        request.Fallback = below;
        if (entry.TryAccept(request)) return true;
        request.Fallback = null;
        return false;
    }
}
