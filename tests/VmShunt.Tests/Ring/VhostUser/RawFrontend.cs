using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>A front-end that sends any message, also those that <see cref="VhostUserFrontend"/> never sends.</summary>
internal sealed class RawFrontend(ServedBackend backend) : IDisposable
{
    private readonly VhostUserConnection _connection = Connect(backend.Socket);

    /// <summary>Sends a message with NEED_REPLY.</summary>
    /// <returns>Whether the back-end accepted it.</returns>
    internal bool Ask(VhostUserRequest request, ReadOnlySpan<byte> payload, params ReadOnlySpan<SafeHandle> descriptors)
    {
        _connection.Send(request, VhostUserHeader.NeedReply, payload, descriptors);
        AssertReply(request);
        var answer = _connection.PayloadAs<ulong>();
        Assert.InRange(answer, 0ul, 1ul);
        return answer == 0;
    }

    internal bool Ask<T>(VhostUserRequest request, T payload, params ReadOnlySpan<SafeHandle> descriptors) where T : unmanaged =>
        Ask(request, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in payload)), descriptors);

    internal bool AskRing(VhostUserRequest request, uint index, uint value) => Ask(request, new VringState { Index = index, Value = value });

    internal bool AddMemory(VhostUserMemoryRegion region, params ReadOnlySpan<SafeHandle> descriptors) =>
        Ask(VhostUserRequest.AddMemReg, Slot(region), descriptors);

    internal bool RemoveMemory(VhostUserMemoryRegion region) => Ask(VhostUserRequest.RemMemReg, Slot(region));

    internal static byte[] Slot(VhostUserMemoryRegion region)
    {
        var payload = new byte[8 + VhostUserMemoryRegion.Bytes];
        MemoryMarshal.Write(payload.AsSpan(8), region);
        return payload;
    }

    /// <summary>A payload of SET_MEM_TABLE.</summary>
    internal static byte[] Table(uint count, params ReadOnlySpan<VhostUserMemoryRegion> regions)
    {
        var payload = new byte[8 + VhostUserMemoryRegion.Bytes * regions.Length];
        MemoryMarshal.Write(payload, count);
        regions.CopyTo(MemoryMarshal.Cast<byte, VhostUserMemoryRegion>(payload.AsSpan(8)));
        return payload;
    }

    /// <summary>Asks for a number.</summary>
    internal ulong Query(VhostUserRequest request) => MemoryMarshal.Read<ulong>(Query(request, []));

    internal byte[] Query(VhostUserRequest request, ReadOnlySpan<byte> payload, uint flags = 0)
    {
        _connection.Send(request, flags, payload);
        AssertReply(request);
        return _connection.Payload.ToArray();
    }

    internal void AssertReply(VhostUserRequest request)
    {
        Assert.True(_connection.Receive(), $"the session ended at {request}: {backend.End}");
        Assert.Equal(request, _connection.Header.Request);
        Assert.Equal(VhostUserHeader.Version | VhostUserHeader.Reply, _connection.Header.Flags);
    }

    /// <summary>The descriptor that came with the last reply.</summary>
    internal SafeFileHandle? TakeDescriptor() => _connection.TakeDescriptor();

    internal VringState GetVringBase(uint index)
    {
        var state = new VringState { Index = index };
        return MemoryMarshal.Read<VringState>(Query(VhostUserRequest.GetVringBase, MemoryMarshal.AsBytes(new ReadOnlySpan<VringState>(in state))));
    }

    /// <summary>Sends a message without NEED_REPLY.</summary>
    internal void Say(VhostUserRequest request, ReadOnlySpan<byte> payload, params ReadOnlySpan<SafeHandle> descriptors) =>
        _connection.Send(request, 0, payload, descriptors);

    internal void SendRaw(params ReadOnlySpan<uint> words) => _connection.Socket.Send(MemoryMarshal.AsBytes(words));

    internal void SendBytes(ReadOnlySpan<byte> bytes) => _connection.Socket.Send(bytes);

    internal void ShutdownSend() => _connection.Socket.ShutdownSend();

    /// <summary>The session still accepts messages.</summary>
    internal void AssertAlive() => Assert.Equal(backend.Device.Features | 1ul << 30, Query(VhostUserRequest.GetFeatures));

    /// <summary>The back-end ends the session and reports why.</summary>
    internal void AssertEnded(string why)
    {
        try
        {
            Assert.False(_connection.Receive());
        }
        catch (IOException)
        {
            // The back-end closed with bytes unread, or did nothing.
        }
        Assert.Contains(why, backend.WaitForEnd(), StringComparison.Ordinal);
    }

    public void Dispose() => _connection.Dispose();

    // No test waits without end for a back-end that neither replies nor closes.
    private static VhostUserConnection Connect(UnixConnection socket)
    {
        socket.SetTimeout(TimeSpan.FromSeconds(20));
        return new VhostUserConnection(socket);
    }

    internal static byte[] Message<T>(VhostUserRequest request, T payload) where T : unmanaged
    {
        var message = new byte[VhostUserHeader.Bytes + Unsafe.SizeOf<T>()];
        MemoryMarshal.Write(message, new VhostUserHeader { Request = request, Flags = VhostUserHeader.Version, Size = (uint)Unsafe.SizeOf<T>() });
        MemoryMarshal.Write(message.AsSpan(VhostUserHeader.Bytes), payload);
        return message;
    }
}
