using VmShunt.Ring.Memory;

namespace VmShunt.AhciBackend.Controller;

/// <summary>
/// The guest memory for the HBA's DMA. The worker touches it only inside the gate and never during disk I/O, so that the
/// memory is replaced, and a command aborted, at once, however long the disk takes. Any thread.
/// </summary>
internal sealed class DmaGate
{
    private readonly Lock _copying = new();
    private GuestMemory? _memory;

    /// <summary>Raised while the worker's command is aborted: it has no visible outcome.</summary>
    internal SharedFlag Aborted { get; } = new();

    /// <summary>The worker starts a command.</summary>
    internal void Begin() => Aborted.Lower();

    /// <summary>Aborts the worker's command. When it returns, the command does not touch guest memory any more.</summary>
    internal void Abort()
    {
        lock (_copying) Aborted.Raise();
    }

    /// <summary>Replaces the memory. When it returns, nothing uses the old one.</summary>
    internal void Replace(GuestMemory? memory)
    {
        lock (_copying) _memory = memory;
    }

    /// <summary>Enters the gate, on the worker. The memory may be used until the scope is disposed.</summary>
    /// <param name="memory">The memory, or null: there is none, or the command was aborted.</param>
    internal Lock.Scope Enter(out GuestMemory? memory)
    {
        var scope = _copying.EnterScope();
        memory = Aborted.IsRaised ? null : _memory;
        return scope;
    }
}
