using System.Diagnostics.CodeAnalysis;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Ring.Interop;

/// <summary>
/// File descriptors that arrived with a message, in order, until the parser takes them. Bounded, so that a peer cannot
/// fill the process's table; what is left at <see cref="CloseAll"/> or disposal is closed. Used by one thread.
/// </summary>
public sealed class DescriptorQueue : IDisposable
{
    private readonly Queue<SafeFileHandle> _handles = new();

    /// <summary>How many are waiting.</summary>
    public int Count => _handles.Count;

    /// <summary>Puts a descriptor behind the others and owns it; closes it when as many wait as one message may bring.</summary>
    public void Add(SafeFileHandle handle)
    {
        ArgumentNullException.ThrowIfNull(handle);
        if (_handles.Count < UnixConnection.MaxDescriptors) _handles.Enqueue(handle);
        else handle.Dispose();
    }

    /// <summary>Takes the oldest; the caller owns it then.</summary>
    public bool TryTake([NotNullWhen(true)] out SafeFileHandle? handle) => _handles.TryDequeue(out handle);

    /// <summary>Closes what nobody took.</summary>
    public void CloseAll()
    {
        while (_handles.TryDequeue(out var handle)) handle.Dispose();
    }

    /// <inheritdoc/>
    public void Dispose() => CloseAll();
}
