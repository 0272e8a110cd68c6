namespace VmShunt.Guest.Shunt.Modes;

/// <summary>
/// By what a shunt is told the mode: whoever holds it turns it, the shunt reads it once a request. Requests under way are
/// not touched. Any thread.
/// </summary>
internal sealed class ShuntSwitch
{
    private bool _isDiverting;

    internal bool IsDiverting => _isDiverting;

    /// <summary>Enlightened mode.</summary>
    internal void Divert() => _isDiverting = true;

    /// <summary>Emulating mode.</summary>
    internal void PassDown() => _isDiverting = false;
}
