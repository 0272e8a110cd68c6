using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;
using static VmShunt.Ring.VirtioBlk.VirtioBlkRequestType;

namespace VmShunt.Tests.Hostile;

/// <summary>Hostile inputs C and D: descriptors and indirect tables.</summary>
internal static class HostileDescriptors
{
    private const DescriptorFlags Write = DescriptorFlags.Write, Next = DescriptorFlags.Next, Indirect = DescriptorFlags.Indirect;
    private const ulong Data = HandDriver.Data, Header = HandDriver.Header, Status = HandDriver.Status;
    private const VirtioBlkStatus Ok = VirtioBlkStatus.Ok, IoError = VirtioBlkStatus.IoError;

    private static readonly Piece s_header = new(Header, 16), s_status = new(Status, 1, Write);

    internal static IEnumerable<HostileCase> Direct =>
    [
        // Chains.
        Broken("a descriptor that is its own next", "s", static d => Loop(d, 0)),
        Broken("two descriptors in a loop", "s", static d => Loop(d, 1)),
        Broken("a loop after valid descriptors", "s", static d => Loop(d, 7)),
        Broken("a next beyond the ring", "s", static d => { Split(d).Write(0, new Piece(Header, 16, Next), HandRing.Size); Kick(d); }),
        Broken("a next of 65535", "s", static d => { Split(d).Write(0, new Piece(Header, 16, Next), ushort.MaxValue); Kick(d); }),
        Broken("a chain without an end", "p", static d =>
        {
            var ring = (HandPackedRing)d.Ring;
            for (var i = HandRing.Size - 1; i >= 0; i--) ring.Write(i, new Piece(Header, 1, Next | ring.Lap), 0);
            d.Kick.Signal();
        }),

        // Addresses and lengths.
        Is("data at address 0", IoError, 0, static d => d.Request(In, 0, new Piece(0, 512, Write))),
        Is("data past the memory", IoError, 0, static d => d.Request(In, 0, new Piece(HandDriver.End, 512, Write))),
        Is("data across the memory's end", IoError, 0, static d => d.Request(In, 0, new Piece(HandDriver.End - 256, 512, Write))),
        Is("data before the memory", IoError, 0, static d => d.Request(In, 0, new Piece(HandDriver.First - 256, 512, Write))),
        Is("data in a hole", IoError, 0, static d => d.Request(In, 0, new Piece(HandDriver.Hole, 512, Write))),
        Is("data into a hole", IoError, 0, static d => d.Request(In, 0, new Piece(HandDriver.Hole - 256, 512, Write))),
        Is("data across a hole", IoError, 0, static d => d.Request(In, 0, new Piece(HandDriver.Hole - 512, HandDriver.RegionBytes + 1024, Write))),
        Is("data of a write in a hole", IoError, 0, static d => d.Request(Out, 4, new Piece(HandDriver.Hole, 512))),
        Is("data across two regions that touch", Ok, 1025, static d => d.Request(In, 0, new Piece(HandDriver.Second - 512, 1024, Write))),
        Is("data at the address of device registers", IoError, 0, static d => d.Request(In, 0, new Piece(0xfebf_0000, 512, Write))),
        Broken("an address and length beyond 2^64", "sp", static d => d.Request(In, 0, new Piece(ulong.MaxValue - 100, 512, Write))),
        Is("2^32 - 1 bytes", IoError, 0, static d => d.Request(In, 0, new Piece(Data, uint.MaxValue, Write))),
        Is("a total beyond 2^32", IoError, 0, static d => d.Request(In, 0, [.. Enumerable.Repeat(new Piece(Data, uint.MaxValue - 511, Write), 4)])),
        Is("the same memory many times, beyond 2^32 in total", IoError, 0, static d => d.RequestIndirect(In, 0, [.. Enumerable.Repeat(new Piece(Data, 6 << 20, Write), 1000)])),

        // Addresses of the ring itself.
        new HostileCase("data on the ring itself", "sp", static d => d.Request(In, 0, new Piece(HandRing.Descriptors, 512, Write))) { Outcome = Outcome.Anything },
        new HostileCase("data on the device's area", "sp", static d => d.Request(In, 0, new Piece(HandRing.Device, 512, Write))) { Outcome = Outcome.Anything },
        new HostileCase("data on the available ring", "sp", static d => d.Request(In, 0, new Piece(HandRing.Driver, 512, Write))) { Outcome = Outcome.Anything },
        Is("data on the header and status themselves", Ok, 513, static d => { d.Prepare(In, 0); d.Offer(s_header, new(Header, 512, Write), s_status); }),

        // Directions.
        Broken("a readable descriptor after a writable one", "sp", static d => d.Request(In, 0, new Piece(Data, 512, Write), new Piece(Data, 512))),
        Broken("a readable status after writable data", "sp", static d => { d.Prepare(In, 0); d.Offer(s_header, new(Data, 512, Write), new(Status, 1)); }),
    ];

    internal static IEnumerable<HostileCase> Tables =>
    [
        Is("a valid table", Ok, 513, static d => d.RequestIndirect(In, 0, new Piece(Data, 512, Write))),
        Is("a table with WRITE", Ok, 513, static d => OfferTable(d, table => table with { Flags = Indirect | Write })),
        Is("a table after a direct descriptor", Ok, 513, static d =>
        {
            d.Prepare(In, 0);
            d.Offer(s_header, d.Ring.Indirect(new Piece(Data, 512, Write), s_status));
        }),
        Broken("a table of no bytes", "sp", static d => OfferTable(d, table => table with { Length = 0 })),
        Broken("a table of 17 bytes", "sp", static d => OfferTable(d, table => table with { Length = 17 })),
        Broken("a table of 2^32 - 16 bytes", "sp", static d => OfferTable(d, table => table with { Length = uint.MaxValue - 15 })),
        Broken("a table of 1025 entries", "sp", static d => OfferTable(d, table => table with { Length = 1025 * 16 })),
        Broken("a table at address 0", "sp", static d => OfferTable(d, table => table with { Address = 0 })),
        Broken("a table past the memory", "sp", static d => OfferTable(d, table => table with { Address = HandDriver.End - 16 })),
        Broken("a table in a hole", "sp", static d => OfferTable(d, table => table with { Address = HandDriver.Hole })),
        Broken("a table across two regions", "sp", static d => OfferTable(d, table => table with { Address = HandDriver.Second - 16 })),
        Broken("a table that overflows", "sp", static d => OfferTable(d, table => table with { Address = ulong.MaxValue - 15 })),
        Broken("a table in a table", "sp", static d => { d.Prepare(In, 0); d.Offer(d.Ring.Indirect(s_header, new Piece(HandRing.Table, 16, Indirect))); }),
        Broken("a table with NEXT", "sp", static d => { d.Prepare(In, 0); d.Offer(d.Ring.Indirect(s_header, new Piece(Data, 512, Write), s_status), s_status); }),
        Broken("two tables in one chain", "sp", static d => { d.Prepare(In, 0); d.Offer(d.Ring.Indirect(s_header, s_status), d.Ring.Indirect(s_header, s_status)); }),
        Broken("a loop in a table", "s", static d => { OfferLoop(d, 0); }),
        Broken("a loop of two in a table", "s", static d => { OfferLoop(d, 1); }),
        Broken("a next beyond the table", "s", static d => { OfferLoop(d, 3); }),
        Broken("an overflow in a table", "sp", static d => { d.Prepare(In, 0); d.Offer(d.Ring.Indirect(s_header, new Piece(ulong.MaxValue, 512, Write), s_status)); }),
        Broken("a readable entry after a writable one", "sp", static d => { d.Prepare(In, 0); d.Offer(d.Ring.Indirect(s_header, s_status, s_header)); }),
    ];

    /// <summary>For a session without INDIRECT_DESC.</summary>
    internal static HostileCase NotNegotiated => Broken("a table that was not negotiated", "sp", static d => d.RequestIndirect(In, 0, new Piece(Data, 512, Write)));

    private static HostileCase Is(string name, VirtioBlkStatus status, uint written, Action<HandDriver> act) =>
        new(name, "sp", act) { Status = status, Written = written };

    private static HostileCase Broken(string name, string layouts, Action<HandDriver> act) => new(name, layouts, act) { Outcome = Outcome.Broken };

    private static HandSplitRing Split(HandDriver driver) => (HandSplitRing)driver.Ring;

    private static void Kick(HandDriver driver)
    {
        Split(driver).OfferHead(0);
        driver.Kick.Signal();
    }

    // Descriptors 0 to last; the next of the last one is the one before it, or itself.
    private static void Loop(HandDriver driver, int last)
    {
        for (var i = 0; i <= last; i++) Split(driver).Write(i, new Piece(Header, 1, Next), (ushort)(i < last ? i + 1 : Math.Max(0, last - 1)));
        Kick(driver);
    }

    private static void OfferTable(HandDriver driver, Func<Piece, Piece> change)
    {
        driver.Prepare(In, 0);
        driver.Offer(change(driver.Ring.Indirect(s_header, new Piece(Data, 512, Write), s_status)));
    }

    // A table of three entries; the second one has this next.
    private static void OfferLoop(HandDriver driver, ushort next)
    {
        driver.Prepare(In, 0);
        var table = driver.Ring.Indirect(s_header, new Piece(Data, 512), s_status);
        driver.Ring.Entry(1, new Piece(Data, 512, Next), next);
        driver.Offer(table);
    }
}
