using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Shunt.Modes;

/// <summary>The shunt is permanent, and port driver-en commands it: it alone holds the switch, and turns it as its bus comes, goes and is lost.</summary>
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
