using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Emulating;

/// <summary>
/// Registers below which a shunt may be: they can say which road a command took. Nothing that a driver does depends on it;
/// it is for those who ask about a request.
/// </summary>
internal interface ICommandPaths
{
    /// <summary>Whether a shunt looks at commands.</summary>
    bool HasShunt { get; }

    /// <summary>The road of the command that was last issued in a slot.</summary>
    RequestPath RoadOf(int slot);
}
