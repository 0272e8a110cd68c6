using System.Runtime.InteropServices;
using CsCheck;
using VmShunt.Trap.VfioUser;

namespace VmShunt.Tests.Trap.VfioUser;

/// <summary>One command as a client sends it. <paramref name="Size"/> replaces the correct size in the header.</summary>
internal sealed record Message(ushort Id, ushort Command, uint Flags, byte[] Payload, uint? Size = null)
{
    internal byte[] Bytes => [.. MessageGen.Bytes(Header), .. Payload];

    private VfioUserHeader Header => new()
    {
        Id = Id,
        Command = (VfioUserCommand)Command,
        Size = Size ?? (uint)(VfioUserHeader.HeaderBytes + Payload.Length),
        Flags = (VfioUserFlags)Flags,
    };

    public override string ToString() =>
        $"id {Id} command {Command} flags 0x{Flags:x}{(Size is { } size ? $" size {size}" : "")} payload {Convert.ToHexString(Payload)}";
}

/// <summary>Generates commands: most of them valid, some truncated, mutated or random.</summary>
internal static class MessageGen
{
    private const uint NoReply = (uint)VfioUserFlags.NoReply;

    private static readonly Gen<ulong> s_page = Gen.ULong[0, 8].Select(static page => page << 12);

    private static readonly Gen<ulong> s_edge = Gen.OneOf<ulong>(Gen.ULong[0, 300], Gen.ULong[4080, 4100], Gen.Const(RegisterDevice.RefusedRegister), Gen.ULong);

    private static readonly Gen<uint> s_index = Gen.OneOf<uint>(Gen.UInt[0, 9], Gen.UInt);

    private static readonly Gen<uint> s_region = Gen.Frequency<uint>((4, Gen.Const(5u)), (4, Gen.Const(7u)), (2, s_index));

    private static readonly Gen<byte[]> s_map =
        Gen.Select(s_page, s_page, Gen.UInt[0, 3], static (address, size, flags) =>
            Bytes(new DmaMapRequest { ArgSize = DmaMapRequest.Bytes, Flags = flags, Address = address, Size = size }));

    private static readonly Gen<byte[]> s_unmap =
        Gen.Select(s_page, s_page, Gen.Frequency<uint>((8, Gen.Const(0u)), (1, Gen.UInt[0, 4])), static (address, size, flags) =>
            Bytes(new DmaUnmapRequest { ArgSize = DmaUnmapRequest.Bytes, Flags = flags, Address = address, Size = size }));

    private static readonly Gen<byte[]> s_read =
        Gen.Select(s_region, s_edge, Gen.UInt[0, 40], static (region, offset, count) =>
            Bytes(new RegionAccess { Region = region, Offset = offset, Count = count }));

    private static readonly Gen<byte[]> s_write =
        Gen.Select(s_region, s_edge, Gen.Byte.Array[0, 40], static (region, offset, data) =>
            (byte[])[.. Bytes(new RegionAccess { Region = region, Offset = offset, Count = (uint)data.Length }), .. data]);

    private static readonly Gen<byte[]> s_irqSet =
        Gen.Select(Gen.OneOf<uint>(Gen.OneOf(33u, 36u, 9u, 10u, 17u, 18u, 34u), Gen.UInt[0, 70]), s_index, Gen.UInt[0, 2], Gen.UInt[0, 2], Gen.Byte.Array[0, 2],
            static (flags, index, start, count, data) =>
                (byte[])[.. Bytes(new IrqSetRequest { ArgSize = IrqSetRequest.Bytes, Flags = (IrqSetFlags)flags, Index = index, Start = start, Count = count }), .. data]);

    private static readonly Gen<(ushort Command, byte[] Payload)> s_valid = Gen.OneOf<(ushort Command, byte[] Payload)>(
        Of(VfioUserCommand.DmaMap, s_map),
        Of(VfioUserCommand.DmaUnmap, s_unmap),
        Of(VfioUserCommand.DeviceGetInfo, Gen.Const(() => Bytes(new DeviceInfoPayload { ArgSize = DeviceInfoPayload.Bytes }))),
        Of(VfioUserCommand.DeviceGetRegionInfo, s_index.Select(static index => Bytes(new RegionInfoPayload { ArgSize = RegionInfoPayload.Bytes, Index = index }))),
        Of(VfioUserCommand.DeviceGetIrqInfo, s_index.Select(static index => Bytes(new IrqInfoPayload { ArgSize = IrqInfoPayload.Bytes, Index = index }))),
        Of(VfioUserCommand.DeviceSetIrqs, s_irqSet),
        Of(VfioUserCommand.RegionRead, s_read),
        Of(VfioUserCommand.RegionWrite, s_write),
        Of(VfioUserCommand.DeviceReset, Gen.Const(static () => Array.Empty<byte>())));

    private static readonly Gen<(ushort Command, byte[] Payload)> s_any = Gen.Frequency<(ushort Command, byte[] Payload)>(
        (6, s_valid),
        (1, Gen.Select(s_valid, Gen.Int[0, 40], static (message, at) => (message.Command, message.Payload[..Math.Min(at, message.Payload.Length)]))),
        (1, Gen.Select(s_valid, Gen.Int[0, 40], Gen.Byte, static (message, at, value) => (message.Command, With(message.Payload, at, value)))),
        (1, Gen.Select(Gen.UShort[2, 20], Gen.Byte.Array[0, 48])));

    /// <summary>Commands with correct framing. Ids repeat.</summary>
    internal static Gen<Message> Framed { get; } =
        Gen.Select(Gen.UShort[0, 3], s_any, Gen.Frequency<uint>((5, Gen.Const(0u)), (1, Gen.Const(NoReply))),
            static (id, message, flags) => new Message(id, message.Command, flags, message.Payload));

    /// <summary>Messages after which the place of the next one is not known: an impossible size, or no command.</summary>
    internal static Gen<Message> Malformed { get; } = Gen.OneOf<Message>(
        Gen.Select(Framed, Gen.OneOf<uint>(Gen.UInt[0, 15], Gen.UInt[VfioUserHeader.MaxMessageBytes + 1, uint.MaxValue]), static (message, size) => message with { Size = size }),
        Gen.Select(Framed, Gen.UInt[1, 15], static (message, type) => message with { Flags = message.Flags | type }));

    /// <summary>The VERSION command that opens a connection.</summary>
    internal static Message Version(ushort minor = VfioUserVersion.Minor)
    {
        var payload = new byte[VfioUserVersion.Bytes];
        VfioUserVersion.Write(payload, minor);
        return new Message(1, (ushort)VfioUserCommand.Version, 0, payload);
    }

    internal static byte[] Bytes<T>(T value) where T : unmanaged => MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)).ToArray();

    private static Gen<(ushort, byte[])> Of(VfioUserCommand command, Gen<byte[]> payload) => payload.Select(bytes => ((ushort)command, bytes));

    private static byte[] With(byte[] bytes, int at, byte value)
    {
        var changed = bytes.ToArray();
        if (changed.Length > 0) changed[at % changed.Length] = value;
        return changed;
    }
}
