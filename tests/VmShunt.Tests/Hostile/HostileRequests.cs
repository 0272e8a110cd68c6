using System.Runtime.InteropServices;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;
using static VmShunt.Ring.VirtioBlk.VirtioBlkRequestType;

namespace VmShunt.Tests.Hostile;

/// <summary>Hostile inputs E: virtio-blk requests in valid chains.</summary>
internal static class HostileRequests
{
    private const DescriptorFlags Write = DescriptorFlags.Write;
    private const ulong Data = HandDriver.Data, Header = HandDriver.Header, Status = HandDriver.Status, Ranges = HandDriver.Ranges;

    private static readonly Piece s_header = new(Header, 16), s_status = new(Status, 1, Write);

    internal static IEnumerable<HostileCase> All =>
    [
        // Pieces.
        Returned("a header only", static d => { d.Prepare(In, 0); d.Offer(s_header); }),
        Returned("no status", static d => { d.Prepare(Flush, 0); d.Offer(s_header, new(Data, 16)); }),
        Returned("a status that is readable", static d => { d.Prepare(Flush, 0); d.Offer(s_header, new(Status, 1)); }),
        Returned("a status of no bytes", static d => { d.Prepare(Flush, 0); d.Offer(s_header, new(Status, 0, Write)); }),
        Returned("a status outside memory", static d => { d.Prepare(Flush, 0); d.Offer(s_header, new(HandDriver.Hole, 1, Write)); }),
        Is("a status only", IoError, 1, static d => { d.Prepare(In, 0); d.Offer(s_status); }),
        Is("the last byte of the data as status", Ok, 513, static d => { d.Prepare(In, 0); d.Offer(s_header, new(Status - 512, 513, Write)); }),
        Is("a status in the data of an odd read", IoError, 0, static d => { d.Prepare(In, 0); d.Offer(s_header, new(Status - 511, 512, Write)); }),
        Is("empty buffers between all others", Ok, 513, static d => { d.Prepare(In, 0); d.Offer(new(Data, 0), s_header, new(0, 0), new(0, 0, Write), new(Data, 512, Write), new(0, 0, Write), s_status, new(0, 0, Write)); }),
        Is("a header in three pieces", Ok, 513, static d => { d.Prepare(In, 0); d.Offer(new(Header, 1), new(Header + 1, 9), new(Header + 10, 6), new(Data, 512, Write), s_status); }),
        Is("a header of 15 bytes", IoError, 0, static d => { d.Prepare(In, 0); d.Offer(new(Header, 15), new(Data, 512, Write), s_status); }),
        Is("a header of no bytes", IoError, 0, static d => { d.Prepare(In, 0); d.Offer(new(Data, 512, Write), s_status); }),
        Is("a header of 20 bytes of a read", Ok, 513, static d => { d.Prepare(In, 0); d.Offer(new(Header, 20), new(Data, 512, Write), s_status); }),
        Is("a header of 20 bytes of a write", IoError, 1, static d => { d.Prepare(Out, 0); d.Offer(new(Header, 20), s_status); }),
        Is("a header that the device may write", IoError, 0, static d => { d.Prepare(In, 0); d.Offer(s_header with { Flags = Write }, s_status); }),
        Is("a header outside memory", IoError, 0, static d => { d.Prepare(In, 0); d.Offer(s_header with { Address = HandDriver.Hole }, s_status); }),
        Is("header and data in one piece", Ok, 1, static d => { d.Prepare(Out, 4); d.Offer(new(Header, 16 + 512), s_status); }),

        // Data and sectors.
        Is("a read of 511 bytes", IoError, 0, static d => d.Request(In, 0, new Piece(Data, 511, Write))),
        Is("a read of 513 bytes", IoError, 0, static d => d.Request(In, 0, new Piece(Data, 513, Write))),
        Is("a write of 511 bytes", IoError, 1, static d => d.Request(Out, 4, new Piece(Data, 511))),
        Is("a write of 1 byte", IoError, 1, static d => d.Request(Out, 4, new Piece(Data, 1))),
        Is("a read of nothing", Ok, 1, static d => d.Request(In, 0)),
        Is("a write of nothing", Ok, 1, static d => d.Request(Out, 0)),
        Is("a read whose data is readable", Ok, 1, static d => d.Request(In, 0, new Piece(Data, 512))),
        Is("a write whose data is writable", Ok, 0, static d => d.Request(Out, 4, new Piece(Data, 512, Write))),
        Is("a read of the last sector", Ok, 513, static d => d.Request(In, d.Sectors - 1, new Piece(Data, 512, Write))),
        Is("a read at the end", IoError, 0, static d => d.Request(In, d.Sectors, new Piece(Data, 512, Write))),
        Is("a read across the end", IoError, 0, static d => d.Request(In, d.Sectors - 1, new Piece(Data, 1024, Write))),
        Is("a read far past the end", IoError, 0, static d => d.Request(In, 1UL << 40, new Piece(Data, 512, Write))),
        Is("a read whose sector overflows in bytes", IoError, 0, static d => d.Request(In, 1UL << 55, new Piece(Data, 512, Write))),
        Is("a read whose end overflows", IoError, 0, static d => d.Request(In, ulong.MaxValue, new Piece(Data, 1024, Write))),
        Is("a write at the end", IoError, 1, static d => d.Request(Out, d.Sectors, new Piece(Data, 512))),
        Is("a write across the end", IoError, 1, static d => d.Request(Out, d.Sectors - 1, new Piece(Data, 1024))),
        Is("a write whose end overflows", IoError, 1, static d => d.Request(Out, ulong.MaxValue, new Piece(Data, 512))),
        Is("a segment beyond SIZE_MAX", Ok, (4 << 20) + 513, static d => d.Request(In, 0, new Piece(Data, (4 << 20) + 512, Write))),
        Is("more segments than SEG_MAX", Ok, (900 * 512) + 1, static d => d.RequestIndirect(In, 0, Scattered(900))),

        // Types.
        .. from type in new uint[] { 2, 3, 5, 6, 7, 9, 10, 12, 14, 15, 16, 18, 20, 22, 24, 26, 0x100, 0x8000_0000, 0x8000_0001, uint.MaxValue }
           select Is($"a request of type {type:x}", Unsupported, 1, d => d.Request((VirtioBlkRequestType)type, 0, new Piece(Data, 512))),
        Is("GET_ID with 5 bytes of room", Ok, 6, static d => d.Request(GetId, 0, new Piece(Data, 5, Write))),
        Is("GET_ID in pieces", Ok, 21, static d => d.Request(GetId, 0, new Piece(Data, 3, Write), new Piece(Data + 64, 16, Write), new Piece(Data + 128, 1, Write))),
        Is("GET_ID with too much room", Ok, 20, static d => d.Request(GetId, 0, new Piece(Data, 64, Write))),
        Is("GET_ID without room", Ok, 1, static d => d.Request(GetId, 0)),
        Is("a flush with data", Ok, 1, static d => d.Request(Flush, 0, new Piece(Data, 512))),
        Is("a flush with a sector", Ok, 1, static d => d.Request(Flush, ulong.MaxValue)),

        // Ranges.
        .. from type in new[] { Discard, WriteZeroes }
           from one in OfRanges(type)
           select one,
        Is("Discard with UNMAP", Unsupported, 1, static d => Ask(d, Discard, new VirtioBlkRange { SectorCount = 8, Flags = 1 })),
        Is("WriteZeroes with UNMAP", Ok, 1, static d => Ask(d, WriteZeroes, new VirtioBlkRange { SectorCount = 8, Flags = 1 })),
    ];

    private static IEnumerable<HostileCase> OfRanges(VirtioBlkRequestType type) =>
    [
        Is($"{type} without a range", IoError, 1, d => Ask(d, type)),
        Is($"{type} of 17 ranges", IoError, 1, d => Ask(d, type, Many(17))),
        Is($"{type} of 4096 ranges", IoError, 1, d => Ask(d, type, Many(4096))),
        Is($"{type} of 16 ranges", Ok, 1, d => Ask(d, type, Many(16))),
        Is($"{type} of 15 bytes", IoError, 1, d => d.Request(type, 0, new Piece(Ranges, 15))),
        Is($"{type} of 17 bytes", IoError, 1, d => d.Request(type, 0, new Piece(Ranges, 17))),
        Is($"{type} of no sectors", IoError, 1, d => Ask(d, type, new VirtioBlkRange())),
        Is($"{type} of too many sectors", IoError, 1, d => Ask(d, type, new VirtioBlkRange { SectorCount = uint.MaxValue })),
        Is($"{type} across the end", IoError, 1, d => Ask(d, type, new VirtioBlkRange { Sector = d.Sectors - 1, SectorCount = 2 })),
        Is($"{type} far past the end", IoError, 1, d => Ask(d, type, new VirtioBlkRange { Sector = 1UL << 55, SectorCount = 1 })),
        Is($"{type} that overflows", IoError, 1, d => Ask(d, type, new VirtioBlkRange { Sector = ulong.MaxValue, SectorCount = 2 })),
        Is($"{type} of one odd sector", Ok, 1, d => Ask(d, type, new VirtioBlkRange { Sector = 3, SectorCount = 1 })),
        Is($"{type} with unknown flags", Unsupported, 1, d => Ask(d, type, new VirtioBlkRange { SectorCount = 8, Flags = 2 })),
        Is($"{type} with unknown flags after an invalid range", Unsupported, 1, d => Ask(d, type, new VirtioBlkRange(), new VirtioBlkRange { SectorCount = 8, Flags = 0x8000_0000 })),
        Is($"{type} whose ranges are in pieces", Ok, 1, d =>
        {
            Write16(d, new VirtioBlkRange { Sector = 8, SectorCount = 8 });
            d.Request(type, 0, new Piece(Ranges, 5), new Piece(Ranges + 5, 11));
        }),
    ];

    private const VirtioBlkStatus Ok = VirtioBlkStatus.Ok, IoError = VirtioBlkStatus.IoError, Unsupported = VirtioBlkStatus.Unsupported;

    private static HostileCase Is(string name, VirtioBlkStatus status, uint written, Action<HandDriver> act) => new(name, "sp", act) { Status = status, Written = written };

    private static HostileCase Returned(string name, Action<HandDriver> act) => new(name, "sp", act) { Outcome = Outcome.Returned };

    private static Piece[] Scattered(int pieces) => [.. Enumerable.Range(0, pieces).Select(static i => new Piece(Data + 1024 * (ulong)i, 512, Write))];

    private static VirtioBlkRange[] Many(int ranges) => [.. Enumerable.Repeat(new VirtioBlkRange { Sector = 8, SectorCount = 8 }, ranges)];

    private static void Ask(HandDriver driver, VirtioBlkRequestType type, params ReadOnlySpan<VirtioBlkRange> ranges)
    {
        Write16(driver, ranges);
        driver.Request(type, 0, new Piece(Ranges, (uint)(ranges.Length * VirtioBlkRange.Bytes)));
    }

    private static void Write16(HandDriver driver, params ReadOnlySpan<VirtioBlkRange> ranges) =>
        MemoryMarshal.AsBytes(ranges).CopyTo(driver.Ram.Span(Ranges, ranges.Length * VirtioBlkRange.Bytes));
}
