using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;

namespace VmShunt.Guest.Shunt.Modes;

/// <summary>The shunt is permanent. The port driver (enlightened) alone holds its switch, and sets it when its bus connects, closes or is lost.</summary>
internal readonly struct CommandedMode(ShuntSwitch commands) : IModeSource
{
    public bool TryDivert(BlockRequest request, IEnlightenedEntry entry, IBlockDriver below)
    {
        if (!commands.IsDiverting) return false;
        request.Fallback = below;
        entry.Submit(request);
        return true;
    }
}
