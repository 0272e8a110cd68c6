using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Tests.Ring.VirtioBlk;

/// <summary>Structures and numbers of a virtio block device, against virtio 1.3 §5.2 and §6.</summary>
public class VirtioBlkWireTests
{
    [Theory]
    [InlineData(nameof(VirtioBlkConfig.Capacity), 0, 8)]
    [InlineData(nameof(VirtioBlkConfig.SizeMax), 8, 4)]
    [InlineData(nameof(VirtioBlkConfig.SegMax), 12, 4)]
    [InlineData(nameof(VirtioBlkConfig.Cylinders), 16, 2)]
    [InlineData(nameof(VirtioBlkConfig.Heads), 18, 1)]
    [InlineData(nameof(VirtioBlkConfig.Sectors), 19, 1)]
    [InlineData(nameof(VirtioBlkConfig.BlockSize), 20, 4)]
    [InlineData(nameof(VirtioBlkConfig.PhysicalBlockExponent), 24, 1)]
    [InlineData(nameof(VirtioBlkConfig.AlignmentOffset), 25, 1)]
    [InlineData(nameof(VirtioBlkConfig.MinIoSize), 26, 2)]
    [InlineData(nameof(VirtioBlkConfig.OptIoSize), 28, 4)]
    [InlineData(nameof(VirtioBlkConfig.WriteCache), 32, 1)]
    [InlineData(nameof(VirtioBlkConfig.Unused0), 33, 1)]
    [InlineData(nameof(VirtioBlkConfig.NumQueues), 34, 2)]
    [InlineData(nameof(VirtioBlkConfig.MaxDiscardSectors), 36, 4)]
    [InlineData(nameof(VirtioBlkConfig.MaxDiscardSeg), 40, 4)]
    [InlineData(nameof(VirtioBlkConfig.DiscardSectorAlignment), 44, 4)]
    [InlineData(nameof(VirtioBlkConfig.MaxWriteZeroesSectors), 48, 4)]
    [InlineData(nameof(VirtioBlkConfig.MaxWriteZeroesSeg), 52, 4)]
    [InlineData(nameof(VirtioBlkConfig.WriteZeroesMayUnmap), 56, 1)]
    [InlineData(nameof(VirtioBlkConfig.Unused1), 57, 1)]
    [InlineData(nameof(VirtioBlkConfig.Unused2), 58, 2)]
    public void A_configuration_field_has_the_offset_of_the_specification(string field, int offset, int bytes) =>
        AssertField<VirtioBlkConfig>(field, offset, bytes, VirtioBlkConfig.Bytes);

    [Theory]
    [InlineData(nameof(VirtioBlkRequestHeader.Type), 0, 4)]
    [InlineData(nameof(VirtioBlkRequestHeader.Reserved), 4, 4)]
    [InlineData(nameof(VirtioBlkRequestHeader.Sector), 8, 8)]
    public void A_request_header_field_has_the_offset_of_the_specification(string field, int offset, int bytes) =>
        AssertField<VirtioBlkRequestHeader>(field, offset, bytes, 16);

    [Theory]
    [InlineData(nameof(VirtioBlkRange.Sector), 0, 8)]
    [InlineData(nameof(VirtioBlkRange.SectorCount), 8, 4)]
    [InlineData(nameof(VirtioBlkRange.Flags), 12, 4)]
    public void A_range_field_has_the_offset_of_the_specification(string field, int offset, int bytes) =>
        AssertField<VirtioBlkRange>(field, offset, bytes, 16);

    [Fact]
    public void A_request_header_and_a_range_have_the_bytes_of_the_specification()
    {
        var header = new VirtioBlkRequestHeader { Type = VirtioBlkRequestType.WriteZeroes, Sector = 0x0102_0304_0506_0708 };
        Assert.Equal("0D000000000000000807060504030201", Convert.ToHexString(MemoryMarshal.AsBytes(new ReadOnlySpan<VirtioBlkRequestHeader>(in header))));
        var range = new VirtioBlkRange { Sector = 0x1122, SectorCount = 0x3344, Flags = VirtioBlkRange.Unmap };
        Assert.Equal("22110000000000004433000001000000", Convert.ToHexString(MemoryMarshal.AsBytes(new ReadOnlySpan<VirtioBlkRange>(in range))));
    }

    [Fact]
    public void Request_types_and_statuses_have_the_numbers_of_the_specification()
    {
        VirtioBlkRequestType[] types =
        [
            VirtioBlkRequestType.In, VirtioBlkRequestType.Out, VirtioBlkRequestType.Flush,
            VirtioBlkRequestType.GetId, VirtioBlkRequestType.Discard, VirtioBlkRequestType.WriteZeroes,
        ];
        Assert.Equal([0u, 1u, 4u, 8u, 11u, 13u], types.Select(type => (uint)type));
        Assert.Equal<byte>([0, 1, 2], [(byte)VirtioBlkStatus.Ok, (byte)VirtioBlkStatus.IoError, (byte)VirtioBlkStatus.Unsupported]);
        Assert.Equal(1, Unsafe.SizeOf<VirtioBlkStatus>());
    }

    [Theory]
    [InlineData(VirtioBlkFeatures.SizeMax, 1)]
    [InlineData(VirtioBlkFeatures.SegMax, 2)]
    [InlineData(VirtioBlkFeatures.ReadOnly, 5)]
    [InlineData(VirtioBlkFeatures.BlockSize, 6)]
    [InlineData(VirtioBlkFeatures.Flush, 9)]
    [InlineData(VirtioBlkFeatures.Topology, 10)]
    [InlineData(VirtioBlkFeatures.ConfigWriteCache, 11)]
    [InlineData(VirtioBlkFeatures.MultiQueue, 12)]
    [InlineData(VirtioBlkFeatures.Discard, 13)]
    [InlineData(VirtioBlkFeatures.WriteZeroes, 14)]
    [InlineData(VirtioBlkFeatures.IndirectDescriptors, 28)]
    [InlineData(VirtioBlkFeatures.EventIndex, 29)]
    [InlineData(VirtioBlkFeatures.ProtocolFeatures, 30)]
    [InlineData(VirtioBlkFeatures.Version1, 32)]
    [InlineData(VirtioBlkFeatures.PackedRing, 34)]
    [InlineData(VirtioBlkFeatures.InOrder, 35)]
    public void A_feature_has_the_bit_of_the_specification(VirtioBlkFeatures feature, int bit) => Assert.Equal(1ul << bit, (ulong)feature);

    private static void AssertField<T>(string field, int offset, int bytes, int all) where T : unmanaged
    {
        Assert.Equal(offset, (int)Marshal.OffsetOf<T>(field));
        Assert.Equal(bytes, Marshal.SizeOf(typeof(T).GetField(field)!.FieldType.IsEnum
            ? Enum.GetUnderlyingType(typeof(T).GetField(field)!.FieldType)
            : typeof(T).GetField(field)!.FieldType));
        Assert.Equal(all, Unsafe.SizeOf<T>());
    }
}
