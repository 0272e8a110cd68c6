using System.Buffers.Binary;

namespace VmShunt.Tests.Trap.VfioUser;

/// <summary>
/// What vfio-user 0.1 says about commands that bring no descriptor, written down a second time: the errno of each reply and
/// its payload, for a server of one <see cref="RegisterDevice"/>.
/// </summary>
internal sealed class SessionModel
{
    private const uint EIO = 5, EEXIST = 17, EINVAL = 22, ENOTSUP = 95;

    private readonly byte[] _bar = new byte[RegisterDevice.BarBytes];
    private readonly byte[] _configuration = new byte[RegisterDevice.ConfigurationBytes];
    private readonly List<(ulong Address, ulong Size)> _maps = [];

    /// <summary>Carries a command out.</summary>
    /// <returns>The errno, 0 for success, and the payload of a successful reply.</returns>
    internal (uint Errno, byte[] Payload) Serve(ushort command, byte[] p) => command switch
    {
        2 => (Map(p), []),
        3 => OnSuccess(Unmap(p), p, 24),
        4 => !IsWhole(p, 16) ? (EINVAL, []) : (0, Words(16, 3, 9, 5)),
        5 => !IsWhole(p, 32) || Word(p, 8) > 8 ? (EINVAL, []) : (0, RegionInfo(Word(p, 8))),
        7 => !IsWhole(p, 16) || Word(p, 8) > 4 ? (EINVAL, []) : (0, IrqInfo(Word(p, 8))),
        8 => (SetIrqs(p), []),
        9 => Read(p),
        10 => OnSuccess(Write(p), p, 16),
        13 => Reset(),
        _ => (ENOTSUP, []),
    };

    // The reply repeats the first bytes of the request.
    private static (uint, byte[]) OnSuccess(uint errno, byte[] p, int bytes) => (errno, errno == 0 ? p[..bytes] : []);

    private uint Map(byte[] p)
    {
        // Bit 2 needs a descriptor.
        if (!IsWhole(p, 32) || Word(p, 4) > 3) return EINVAL;
        ulong address = Long(p, 16), size = Long(p, 24);
        if (size == 0 || (UInt128)address + size > ulong.MaxValue) return EINVAL;
        if (_maps.Exists(map => address < map.Address + map.Size && map.Address < address + size)) return EEXIST;
        _maps.Add((address, size));
        return 0;
    }

    private uint Unmap(byte[] p)
    {
        if (!IsWhole(p, 24)) return EINVAL;
        if (Word(p, 4) == 2)
        {
            if (Long(p, 8) != 0 || Long(p, 16) != 0) return EINVAL;
            _maps.Clear();
            return 0;
        }
        if (Word(p, 4) != 0) return Word(p, 4) == 1 ? ENOTSUP : EINVAL;
        ulong address = Long(p, 8), size = Long(p, 16);
        if (size == 0 || (UInt128)address + size > (UInt128)ulong.MaxValue + 1) return EINVAL;
        UInt128 end = (UInt128)address + size;
        bool Overlaps((ulong Address, ulong Size) map) => address < map.Address + map.Size && map.Address < end;
        bool IsInside((ulong Address, ulong Size) map) => map.Address >= address && map.Address + map.Size <= end;
        if (_maps.Exists(map => Overlaps(map) && !IsInside(map))) return EINVAL;
        _maps.RemoveAll(IsInside);
        return 0;
    }

    private static byte[] RegionInfo(uint index)
    {
        var size = index switch { 5 => (uint)RegisterDevice.BarBytes, 7 => (uint)RegisterDevice.ConfigurationBytes, _ => 0u };
        return Words(32, size == 0 ? 0u : 3, index, 0, size, 0, 0, 0);
    }

    private static byte[] IrqInfo(uint index) => index switch
    {
        0 => Words(16, 7, 0, 1),
        2 => Words(16, 0, 2, 0),
        _ => Words(16, 9, index, 1),
    };

    private static uint SetIrqs(byte[] p)
    {
        if (!IsWhole(p, 20)) return EINVAL;
        uint flags = Word(p, 4), index = Word(p, 8), start = Word(p, 12), count = Word(p, 16);
        if (index > 4 || start != 0 || count > 1 || index == 2 || flags > 63) return EINVAL;
        uint data = flags & 7, action = flags & 56;
        if (data is not (1 or 2 or 4) || action is not (8 or 16 or 32)) return EINVAL;
        if (index > 2 && action != 32) return EINVAL;
        if (count == 0) return data == 1 && action == 32 ? 0 : EINVAL;
        if (data == 4) return action == 32 ? 0 : ENOTSUP;
        return data == 2 && p.Length - 20 != count ? EINVAL : 0;
    }

    private static bool IsWhole(byte[] p, int bytes) => p.Length >= bytes && Word(p, 0) >= bytes;

    private (uint, byte[]) Read(byte[] p) =>
        p.Length == 16 && TryFind(p, out var bytes) ? (0, [.. p, .. bytes.ToArray()]) : (EINVAL, []);

    private uint Write(byte[] p)
    {
        if (p.Length < 16 || !TryFind(p, out var bytes) || p.Length - 16 != bytes.Length) return EINVAL;
        if (Word(p, 8) == 5 && Long(p, 0) == RegisterDevice.RefusedRegister) return EIO;
        p.AsSpan(16).CopyTo(bytes);
        return 0;
    }

    private bool TryFind(byte[] p, out Span<byte> bytes)
    {
        bytes = default;
        var region = Word(p, 8) switch { 5 => _bar, 7 => _configuration, _ => [] };
        ulong offset = Long(p, 0), count = Word(p, 12);
        if (count == 0 || (UInt128)offset + count > (uint)region.Length) return false;
        bytes = region.AsSpan((int)offset, (int)count);
        return true;
    }

    private (uint, byte[]) Reset()
    {
        Array.Clear(_configuration);
        return (0, []);
    }

    private static byte[] Words(params uint[] words)
    {
        var bytes = new byte[words.Length * 4];
        for (var i = 0; i < words.Length; i++) BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(i * 4), words[i]);
        return bytes;
    }

    private static uint Word(byte[] p, int at) => BinaryPrimitives.ReadUInt32LittleEndian(p.AsSpan(at));

    private static ulong Long(byte[] p, int at) => BinaryPrimitives.ReadUInt64LittleEndian(p.AsSpan(at));
}
