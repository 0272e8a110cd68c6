using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Emulating;

/// <summary>Registers that a shunt may intercept: report the path that each command took. For traces and counters only.</summary>
internal interface ICommandPaths
{
    /// <summary>Whether a shunt diverts commands.</summary>
    bool HasShunt { get; }

    /// <summary>The path of the last command issued in a slot.</summary>
    RequestPath PathOf(int slot);
}
