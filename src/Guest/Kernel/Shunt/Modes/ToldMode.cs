using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;

namespace VmShunt.Guest.Shunt.Modes;

/// <summary>The shunt is permanent, and mode control holds its switch.</summary>
internal readonly struct ToldMode(ShuntSwitch told) : IModeSource
{
    public bool TryDivert(BlockRequest request, IEnlightenedEntry entry, IBlockDriver below)
    {
        if (!told.IsDiverting) return false;
        request.Fallback = below;
        entry.Submit(request);
        return true;
    }
}
