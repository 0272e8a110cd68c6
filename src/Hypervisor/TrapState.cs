namespace VmShunt.Hypervisor;

/// <summary>What VM-H gets of a trapped access (<c>--trap-state</c>).</summary>
internal enum TrapState
{
    /// <summary>The access: region, offset, size and data. The hypervisor itself changes the registers.</summary>
    Access,

    /// <summary>The access with the registers and the identity of the suspended processor; VM-H decides what changes.</summary>
    Full,
}
