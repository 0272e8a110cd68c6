using System.Runtime.InteropServices;

namespace VmShunt.Ring.VhostUser;

/// <summary>The messages that carry bytes of the configuration space. Used by the session's thread.</summary>
internal static class ConfigMessages
{
    /// <summary>"VHOST_USER_SET_CONFIG"</summary>
    /// <returns>Null, or why nothing was written.</returns>
    internal static string? Set(VhostUserConnection connection, IVhostUserDevice device)
    {
        var payload = connection.Payload;
        if (payload.Length < VhostUserConfigHeader.Bytes) throw new VhostUserException("SET_CONFIG is too short");
        var header = MemoryMarshal.Read<VhostUserConfigHeader>(payload);
        var bytes = payload[VhostUserConfigHeader.Bytes..];
        if (header.Size != bytes.Length || header.Offset > VhostUserConfigHeader.MaxSpace)
            return $"the configuration of {header.Size} bytes at {header.Offset} has {bytes.Length} bytes";
        return device.TryWriteConfig((int)header.Offset, bytes) ? null : $"the configuration at {header.Offset} is not writable";
    }

    /// <summary>"VHOST_USER_GET_CONFIG": an empty payload reports an error.</summary>
    internal static void ReplyToGet(VhostUserConnection connection, IVhostUserDevice device, Action<string> report)
    {
        var payload = connection.Payload;
        if (payload.Length < VhostUserConfigHeader.Bytes) throw new VhostUserException("GET_CONFIG is too short");
        var header = MemoryMarshal.Read<VhostUserConfigHeader>(payload);
        Span<byte> reply = stackalloc byte[VhostUserConfigHeader.Bytes + VhostUserConfigHeader.MaxSpace];
        reply.Clear();
        MemoryMarshal.Write(reply, header);
        var known = header.Size <= VhostUserConfigHeader.MaxSpace && header.Offset <= VhostUserConfigHeader.MaxSpace - header.Size
            && device.TryReadConfig((int)header.Offset, reply.Slice(VhostUserConfigHeader.Bytes, (int)header.Size));
        if (!known) report($"GetConfig refused: {header.Size} bytes at {header.Offset} are not in the configuration space");
        connection.Send(VhostUserRequest.GetConfig, VhostUserHeader.Reply, known ? reply[..(VhostUserConfigHeader.Bytes + (int)header.Size)] : default);
    }
}
