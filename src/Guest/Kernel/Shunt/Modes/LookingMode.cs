using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;

namespace VmShunt.Guest.Shunt.Modes;

/// <summary>The shunt is permanent and has no switch: it checks for each request whether the port driver (enlightened) has a bus.</summary>
internal readonly struct LookingMode : IModeSource
{
    public bool TryDivert(BlockRequest request, IEnlightenedEntry entry, IBlockDriver below)
    {
        if (!entry.IsPresent) return false;
        request.Fallback = below;
        entry.Submit(request);
        return true;
    }
}
