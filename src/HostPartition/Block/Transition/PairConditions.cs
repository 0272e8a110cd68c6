namespace VmShunt.BlockBackend.Transition;

/// <summary>What holds in a <see cref="PairState"/>.</summary>
/// <param name="HasTrapDisk">Whether the trap path's disk is present.</param>
/// <param name="TrapWrites">Whether the trap path writes without asking.</param>
/// <param name="Ring">What the ring does.</param>
/// <param name="Name">The state's name in log lines.</param>
internal readonly record struct PairConditions(bool HasTrapDisk, bool TrapWrites, RingOrder Ring, string Name);
