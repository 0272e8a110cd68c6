using System.Buffers.Binary;
using System.Text;
using VmShunt.Guest.Crash;
using VmShunt.Ring.Memory;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.Guest.Kernel.Crash;

public class DumpFormatTests
{
    [Fact]
    public void The_checksum_is_CRC_32C() => Assert.Equal(0xE306_9283u, Crc32C.Of("123456789"u8));

    [Fact]
    public void A_checksum_can_be_computed_in_pieces()
    {
        var data = new byte[1001];
        new Random(1).NextBytes(data);
        var whole = Crc32C.Of(data);
        for (var cut = 0; cut <= data.Length; cut += 13)
            Assert.Equal(whole, Crc32C.Append(Crc32C.Append(0, data.AsSpan(0, cut)), data.AsSpan(cut)));
    }

    [Fact]
    public void A_dump_header_reads_back()
    {
        var sector = new byte[DumpHeader.Bytes];
        var header = new DumpHeader(DumpState.New, 67_112_960, 0x1234_5678, 64, "it broke");
        header.Format(sector);
        Assert.True(DumpHeader.TryParse(sector, 200_000, out var read));
        Assert.Equal(header, read);
    }

    [Fact]
    public void A_dump_header_with_any_changed_byte_is_invalid()
    {
        var sector = new byte[DumpHeader.Bytes];
        new DumpHeader(DumpState.New, 4096, 1, 2, "why").Format(sector);
        for (var i = 0; i < sector.Length; i++)
        {
            sector[i] ^= 0x40;
            Assert.False(DumpHeader.TryParse(sector, 1000, out _), $"byte {i}");
            sector[i] ^= 0x40;
        }
    }

    [Fact]
    public void A_dump_header_longer_than_its_partition_is_invalid()
    {
        var sector = new byte[DumpHeader.Bytes];
        new DumpHeader(DumpState.New, 4096, 1, 2, "why").Format(sector);
        Assert.True(DumpHeader.TryParse(sector, 16, out _));
        Assert.False(DumpHeader.TryParse(sector, 15, out _));
    }

    [Fact]
    public void A_core_file_has_the_layout_of_ELF64()
    {
        var head = new byte[64 * 1024];
        MemoryPart[] parts = [new(0, 0xC000_0000, 0), new(0x1_0000_0000, 0x1000_0000, 0xC000_0000)];
        ProcessorState[] processors = [new() { Rip = 0x1234, Rax = 7 }, new() { Rip = 0x5678 }];
        var length = ElfCore.WriteHead(head, parts, processors, "because");

        Assert.Equal(0, length % 4096);
        Assert.Equal([0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1], head[..7]);
        Assert.Equal(4, BinaryPrimitives.ReadUInt16LittleEndian(head.AsSpan(16)));
        Assert.Equal(62, BinaryPrimitives.ReadUInt16LittleEndian(head.AsSpan(18)));
        Assert.Equal(3, BinaryPrimitives.ReadUInt16LittleEndian(head.AsSpan(56)));
        Assert.Equal(length, ElfCore.MemoryOffset(head));
        // The second LOAD follows the first in the file, at its own physical address.
        var second = head.AsSpan(64 + 2 * 56);
        Assert.Equal(length + 0xC000_0000, BinaryPrimitives.ReadInt64LittleEndian(second[8..]));
        Assert.Equal(0x1_0000_0000u, BinaryPrimitives.ReadUInt64LittleEndian(second[24..]));
        Assert.Contains("because", Encoding.ASCII.GetString(head, 0, length), StringComparison.Ordinal);
        Assert.Contains(ElfCore.NoteOwner, Encoding.ASCII.GetString(head, 0, length), StringComparison.Ordinal);
    }
}
