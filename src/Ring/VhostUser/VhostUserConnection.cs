using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.VhostUser;

/// <summary>The peer broke the vhost-user protocol, and the rest of the stream cannot be interpreted. The session ends.</summary>
public sealed class VhostUserException(string message) : IOException(message);

/// <summary>
/// vhost-user messages over one socket: a header, its payload and the descriptors, in order (vhost-user, "Message
/// Specification"). For both ends; one thread at a time. The payload of a message is valid until the next receive.
/// </summary>
public sealed class VhostUserConnection(UnixConnection socket) : IDisposable
{
    /// <summary>The largest payload accepted; no supported message has a larger one.</summary>
    public const int MaxPayload = 4096;

    private readonly byte[] _payload = new byte[MaxPayload];
    private readonly byte[] _sending = new byte[VhostUserHeader.Bytes + MaxPayload];
    private readonly DescriptorQueue _descriptors = new();

    /// <summary>The socket, owned by this object.</summary>
    public UnixConnection Socket { get; } = socket;

    /// <summary>The header of the last message received.</summary>
    public VhostUserHeader Header { get; private set; }

    /// <summary>The payload of the last message received.</summary>
    public ReadOnlySpan<byte> Payload => _payload.AsSpan(0, (int)Header.Size);

    /// <summary>How many descriptors of the last message are not yet taken.</summary>
    public int DescriptorCount => _descriptors.Count;

    /// <summary>Takes the next descriptor of the last message, which the caller then owns; null if none is left.</summary>
    public SafeFileHandle? TakeDescriptor() => _descriptors.TryTake(out var handle) ? handle : null;

    /// <summary>Reads the payload as a structure.</summary>
    /// <exception cref="VhostUserException">The payload has another size.</exception>
    public T PayloadAs<T>() where T : unmanaged
    {
        return Payload.Length == Unsafe.SizeOf<T>()
            ? MemoryMarshal.Read<T>(Payload)
            : throw new VhostUserException($"{Header.Request} carries {Payload.Length} bytes, not {Unsafe.SizeOf<T>()}");
    }

    /// <summary>Blocks for one message. Untaken descriptors of the last one are closed.</summary>
    /// <returns>False when the peer closed the connection between messages.</returns>
    /// <exception cref="VhostUserException">The header is invalid.</exception>
    /// <exception cref="IOException">The connection failed.</exception>
    public bool Receive()
    {
        _descriptors.CloseAll();
        Span<byte> bytes = stackalloc byte[VhostUserHeader.Bytes];
        if (!Socket.ReceiveExactly(bytes, _descriptors)) return false;
        var header = MemoryMarshal.Read<VhostUserHeader>(bytes);
        if ((header.Flags & VhostUserHeader.VersionMask) != VhostUserHeader.Version)
            throw new VhostUserException($"message {header.Request} has protocol version {header.Flags & VhostUserHeader.VersionMask}, not 1");
        if (header.Size > MaxPayload)
            throw new VhostUserException($"message {header.Request} announces {header.Size:n0} bytes of payload; at most {MaxPayload} are accepted");
        Header = header;
        if (header.Size > 0 && !Socket.ReceiveExactly(_payload.AsSpan(0, (int)header.Size), _descriptors))
            throw new VhostUserException($"the connection ended before the payload of {header.Request}");
        return true;
    }

    /// <summary>Sends one message. Descriptors stay the caller's.</summary>
    /// <exception cref="IOException">The peer has closed the connection.</exception>
    public void Send(VhostUserRequest request, uint flags, ReadOnlySpan<byte> payload, ReadOnlySpan<SafeHandle> descriptors = default)
    {
        var header = new VhostUserHeader { Request = request, Flags = VhostUserHeader.Version | flags, Size = (uint)payload.Length };
        MemoryMarshal.Write(_sending, header);
        payload.CopyTo(_sending.AsSpan(VhostUserHeader.Bytes));
        Socket.Send(_sending.AsSpan(0, VhostUserHeader.Bytes + payload.Length), descriptors);
    }

    /// <summary>Sends one message whose payload is a structure.</summary>
    public void Send<T>(VhostUserRequest request, uint flags, T payload, ReadOnlySpan<SafeHandle> descriptors = default) where T : unmanaged =>
        Send(request, flags, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in payload)), descriptors);

    /// <inheritdoc/>
    public void Dispose()
    {
        _descriptors.Dispose();
        Socket.Dispose();
    }
}
