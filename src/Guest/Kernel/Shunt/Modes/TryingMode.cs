using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;

namespace VmShunt.Guest.Shunt.Modes;

/// <summary>
/// The shunt is permanent and does not know the mode: it offers each request to the port driver (enlightened). If that does
/// not accept it (no bus, bus closing, ring full, request type unsupported by VM-H), the request takes the trap path.
/// </summary>
internal readonly struct TryingMode : IModeSource
{
    public bool TryDivert(BlockRequest request, IEnlightenedEntry entry, IBlockDriver below)
    {
        // Set before it is offered: an accepted request may complete at once and be reused.
        request.Fallback = below;
        if (entry.TryAccept(request)) return true;
        request.Fallback = null;
        return false;
    }
}
