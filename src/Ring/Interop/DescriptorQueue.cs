using System.Diagnostics.CodeAnalysis;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Ring.Interop;

/// <summary>
/// File descriptors that were received with a message, in order, until the message's parser dequeues them. The queue is
/// bounded, so that a peer cannot fill the process's descriptor table. It owns what it holds. Used by one thread.
/// </summary>
public sealed class DescriptorQueue : IDisposable
{
    private readonly Queue<SafeFileHandle> _handles = new();

    /// <summary>The number of descriptors in the queue.</summary>
    public int Count => _handles.Count;

    /// <summary>Enqueues a descriptor and owns it. A full queue (<see cref="UnixConnection.MaxDescriptors"/>) closes it instead.</summary>
    public void Add(SafeFileHandle handle)
    {
        ArgumentNullException.ThrowIfNull(handle);
        if (_handles.Count < UnixConnection.MaxDescriptors) _handles.Enqueue(handle);
        else handle.Dispose();
    }

    /// <summary>Dequeues the oldest descriptor; the caller owns it.</summary>
    /// <returns>False when the queue is empty.</returns>
    public bool TryTake([NotNullWhen(true)] out SafeFileHandle? handle) => _handles.TryDequeue(out handle);

    /// <summary>Closes all descriptors in the queue.</summary>
    public void CloseAll()
    {
        while (_handles.TryDequeue(out var handle)) handle.Dispose();
    }

    /// <inheritdoc/>
    public void Dispose() => CloseAll();
}
