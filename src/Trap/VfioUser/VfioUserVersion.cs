using System.Buffers.Binary;
using System.Text;
using System.Text.Json;

namespace VmShunt.Trap.VfioUser;

/// <summary>
/// The payload of "VFIO_USER_VERSION": major and minor version, and a NUL-terminated JSON text of capabilities. Both ends
/// propose 0.1; the server answers a lower proposal with the proposed version. The capability <c>vmshunt_trap_state</c>, the
/// version of <see cref="TrappedAccess"/>, is ours: a client proposes it, and a server has it in its answer if it agrees.
/// </summary>
internal static class VfioUserVersion
{
    internal const ushort Major = 0, Minor = 1;

    // The capability of ours; its value is the version of the command, of which there is one.
    private const string TrapState = "vmshunt_trap_state";

    private static readonly byte[] s_capabilities = Capabilities(""), s_withTrapState = Capabilities($",\"{TrapState}\":1");

    internal static int Bytes => BytesWith(trapState: false);

    internal static int BytesWith(bool trapState) => 4 + (trapState ? s_withTrapState : s_capabilities).Length;

    /// <summary>Writes our version and capabilities.</summary>
    internal static void Write(Span<byte> target, ushort minor, bool trapState = false)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(target, Major);
        BinaryPrimitives.WriteUInt16LittleEndian(target[2..], minor);
        (trapState ? s_withTrapState : s_capabilities).CopyTo(target[4..]);
    }

    /// <summary>Reads a peer's version. Capabilities are optional, but must be JSON of the specified types.</summary>
    internal static bool TryRead(ReadOnlySpan<byte> payload, out ushort major, out ushort minor, out long maxDataBytes, out bool trapState)
    {
        major = minor = 0;
        maxDataBytes = 1 << 20;
        trapState = false;
        if (payload.Length < 4) return false;
        major = BinaryPrimitives.ReadUInt16LittleEndian(payload);
        minor = BinaryPrimitives.ReadUInt16LittleEndian(payload[2..]);
        var text = payload[4..];
        return text.IsEmpty || (text[^1] == 0 && TryReadCapabilities(text[..^1], ref maxDataBytes, ref trapState));
    }

    private static byte[] Capabilities(string more) => Encoding.UTF8.GetBytes(
        $$$"""{"capabilities":{"max_msg_fds":8,"max_data_xfer_size":{{{VfioUserHeader.MaxDataBytes}}},"max_dma_maps":{{{DmaTable.MaxEntries}}}{{{more}}}}}""" + "\0");

    private static bool TryReadCapabilities(ReadOnlySpan<byte> text, ref long maxDataBytes, ref bool trapState)
    {
        try
        {
            var reader = new Utf8JsonReader(text);
            using var json = JsonDocument.ParseValue(ref reader);
            if (json.RootElement.ValueKind != JsonValueKind.Object) return false;
            if (!json.RootElement.TryGetProperty("capabilities", out var capabilities)) return true;
            if (capabilities.ValueKind != JsonValueKind.Object) return false;
            long others = 1, version = 0;
            if (!TryReadLimit(capabilities, TrapState, ref version, least: 0)) return false;
            trapState = version > 0;
            return TryReadLimit(capabilities, "max_data_xfer_size", ref maxDataBytes) && TryReadLimit(capabilities, "max_msg_fds", ref others, least: 0)
                && TryReadLimit(capabilities, "max_dma_maps", ref others, least: 0);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // Comparing a name with an invalid escape, such as a lone surrogate, throws InvalidOperationException.
            return false;
        }
    }

    /// <returns>False when it is there, and is not a number of at least <paramref name="least"/>.</returns>
    private static bool TryReadLimit(JsonElement capabilities, string name, ref long limit, long least = 1) =>
        !capabilities.TryGetProperty(name, out var value) || (value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out limit) && limit >= least);
}
