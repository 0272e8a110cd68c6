using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Shunt.Modes;

/// <summary>The shunt is permanent, nobody tells it anything, and it looks for each request whether port driver-en is instantiated.</summary>
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
