using System.Runtime.InteropServices;

namespace VmShunt.Ring.VhostUser;

/// <summary>The messages about the memory for the record of chains in flight. Used by the session's thread.</summary>
internal static class InflightMessages
{
    /// <summary>"Inflight description"</summary>
    internal static VhostUserInflight Payload(VhostUserConnection connection)
    {
        var payload = connection.Payload;
        return payload.Length is VhostUserInflight.Bytes or VhostUserInflight.Bytes + sizeof(uint)
            ? MemoryMarshal.Read<VhostUserInflight>(payload)
            : throw new VhostUserException($"{connection.Header.Request} carries {payload.Length} bytes, not {VhostUserInflight.Bytes}");
    }

    /// <summary>"VHOST_USER_GET_INFLIGHT_FD": an empty description reports an error.</summary>
    internal static void ReplyToGet(VhostUserConnection connection, IVhostUserDevice device, int rings, Action<string> report)
    {
        var inflight = Payload(connection);
        Span<byte> reply = stackalloc byte[connection.Payload.Length];
        reply.Clear();
        if (inflight.QueueCount == 0 || inflight.QueueCount > rings)
        {
            report($"GetInflightFd refused: {inflight.QueueCount} rings; the device has {rings}");
            connection.Send(VhostUserRequest.GetInflightFd, VhostUserHeader.Reply, reply);
            return;
        }
        using var file = BackendInflight.Create(inflight.QueueCount, device.MaxQueueSize, out var bytes);
        MemoryMarshal.Write(reply, inflight with { MmapSize = (ulong)bytes, MmapOffset = 0 });
        connection.Send(VhostUserRequest.GetInflightFd, VhostUserHeader.Reply, reply, [file]);
    }
}
