using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using VmShunt.Ring.VhostUser;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>The front-end's end of a session for tests that say what no front-end of ours would say.</summary>
internal sealed class RawFrontend(ServedBackend backend) : IDisposable
{
    private readonly VhostUserConnection _connection = new(backend.Socket);

    /// <summary>Sends a message that wants an acknowledgement.</summary>
    /// <returns>Whether it was granted.</returns>
    internal bool Ask(VhostUserRequest request, ReadOnlySpan<byte> payload, params ReadOnlySpan<SafeHandle> descriptors)
    {
        _connection.Send(request, VhostUserHeader.NeedReply, payload, descriptors);
        Assert.True(_connection.Receive(), $"the session ended at {request}: {backend.End}");
        Assert.Equal(request, _connection.Header.Request);
        Assert.Equal(VhostUserHeader.Version | VhostUserHeader.Reply, _connection.Header.Flags);
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

    internal byte[] Query(VhostUserRequest request, ReadOnlySpan<byte> payload)
    {
        _connection.Send(request, 0, payload);
        Assert.True(_connection.Receive(), $"the session ended at {request}: {backend.End}");
        Assert.Equal(request, _connection.Header.Request);
        return _connection.Payload.ToArray();
    }

    internal VringState GetVringBase(uint index)
    {
        var state = new VringState { Index = index };
        return MemoryMarshal.Read<VringState>(Query(VhostUserRequest.GetVringBase, MemoryMarshal.AsBytes(new ReadOnlySpan<VringState>(in state))));
    }

    /// <summary>Sends a message that nobody answers.</summary>
    internal void Say(VhostUserRequest request, ReadOnlySpan<byte> payload, params ReadOnlySpan<SafeHandle> descriptors) =>
        _connection.Send(request, 0, payload, descriptors);

    internal void SendRaw(params ReadOnlySpan<uint> words) => _connection.Socket.Send(MemoryMarshal.AsBytes(words));

    internal void SendBytes(ReadOnlySpan<byte> bytes) => _connection.Socket.Send(bytes);

    internal void ShutdownSend() => _connection.Socket.ShutdownSend();

    /// <summary>The session still takes good messages.</summary>
    internal void AssertAlive() => Assert.Equal(backend.Device.Features | 1ul << 30, Query(VhostUserRequest.GetFeatures));

    /// <summary>The back-end ends the session and says why.</summary>
    internal void AssertEnded(string why)
    {
        try
        {
            Assert.False(_connection.Receive());
        }
        catch (IOException)
        {
            // It closed with our bytes unread.
        }
        Assert.Contains(why, backend.WaitForEnd(), StringComparison.Ordinal);
    }

    public void Dispose() => _connection.Dispose();

    internal static byte[] Message<T>(VhostUserRequest request, T payload) where T : unmanaged
    {
        var message = new byte[VhostUserHeader.Bytes + Unsafe.SizeOf<T>()];
        MemoryMarshal.Write(message, new VhostUserHeader { Request = request, Flags = VhostUserHeader.Version, Size = (uint)Unsafe.SizeOf<T>() });
        MemoryMarshal.Write(message.AsSpan(VhostUserHeader.Bytes), payload);
        return message;
    }
}
