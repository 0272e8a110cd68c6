using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Hostile;

namespace VmShunt.Tests.HostPartition.Block.VirtioBlk;

/// <summary>Of a guest's memory, a request changes its device-writable part and nothing else (virtio 1.3 §2.7.5.1).</summary>
public sealed class TouchedMemoryTests
{
    // Below lies the ring.
    private const ulong Compared = HandDriver.Header;
    private const int ComparedBytes = 2 << 20;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_request_changes_no_memory_but_its_device_writable_part(bool packed)
    {
        using var disk = ServedDisk.InMemory();
        using var driver = new HandDriver(disk.Connect(), packed).Start();
        Piece readable = new(HandDriver.Data + 0x1000, 1024), ranges = new(HandDriver.Ranges, VirtioBlkRange.Bytes);
        Piece writable = new(HandDriver.Data + 0x4000, 2048, DescriptorFlags.Write);
        (VirtioBlkRequestType Type, Piece[] Pieces)[] requests =
        [
            (VirtioBlkRequestType.In, [writable]),
            // Data of the wrong direction is neither read nor written.
            (VirtioBlkRequestType.In, [readable, writable]),
            (VirtioBlkRequestType.In, [readable]),
            (VirtioBlkRequestType.Out, [readable]),
            (VirtioBlkRequestType.Out, [readable, writable]),
            (VirtioBlkRequestType.Flush, [readable]),
            (VirtioBlkRequestType.GetId, [readable, writable]),
            (VirtioBlkRequestType.GetId, [readable]),
            (VirtioBlkRequestType.Discard, [ranges]),
            (VirtioBlkRequestType.WriteZeroes, [ranges, writable]),
            ((VirtioBlkRequestType)0x1234, [readable, writable]),
        ];
        foreach (var (type, pieces) in requests)
        {
            var memory = driver.Ram.Span(Compared, ComparedBytes);
            memory.Fill(0x5a);
            Assert.True(driver.Ram.Memory.TryWrite(HandDriver.Ranges, new VirtioBlkRange { Sector = 8, SectorCount = 8 }));
            driver.Prepare(type, 0);
            var before = memory.ToArray();
            driver.Offer([new(HandDriver.Header, 16), .. pieces, new(HandDriver.Status, 1, DescriptorFlags.Write)]);
            Assert.NotNull(driver.Complete());
            Assert.NotEqual(HandDriver.NoStatus, driver.Ram.Span(HandDriver.Status, 1)[0]);
            foreach (var piece in pieces.Where(static piece => piece.Flags.HasFlag(DescriptorFlags.Write)).Append(new(HandDriver.Status, 1, DescriptorFlags.Write)))
                driver.Ram.Span(piece.Address, (int)piece.Length).CopyTo(before.AsSpan((int)(piece.Address - Compared)));
            var at = memory.CommonPrefixLength(before);
            Assert.True(at == ComparedBytes, $"{type} with {pieces.Length} buffers changed the byte at {Compared + (ulong)at:x}");
        }
        driver.AssertWell();
    }
}
