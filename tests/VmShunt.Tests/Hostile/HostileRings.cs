using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;
using static VmShunt.Ring.VirtioBlk.VirtioBlkRequestType;

namespace VmShunt.Tests.Hostile;

/// <summary>Hostile inputs A and B: ring set-ups and available rings.</summary>
internal static class HostileRings
{
    private const DescriptorFlags Write = DescriptorFlags.Write, Next = DescriptorFlags.Next;
    private const ulong Data = HandDriver.Data, Header = HandDriver.Header, Status = HandDriver.Status;

    private static readonly Piece[] s_good = [new(Header, 16), new(Data, 512, Write), new(Status, 1, Write)];

    internal static IEnumerable<HostileCase> Available =>
    [
        // Split.
        Broken("an index ahead by 17", "s", static d => SetAvailable(d, 17)),
        Broken("an index ahead by 65535", "s", static d => SetAvailable(d, ushort.MaxValue)),
        Broken("an index that goes backwards", "s", static d => { Good(d); SetAvailable(d, 0); }),
        Broken("a head of 16", "s", static d => { Split(d).OfferHead(16); d.Kick.Signal(); }),
        Broken("a head of 65535", "s", static d => { Split(d).OfferHead(ushort.MaxValue); d.Kick.Signal(); }),
        Is("the same head twice", "s", 2, static d => { Offer(d); Split(d).OfferHead(0); d.Kick.Signal(); }),
        Is("one head in every slot", "s", HandRing.Size, static d => { Offer(d); for (var i = 1; i < HandRing.Size; i++) Split(d).OfferHead(0); d.Kick.Signal(); }),
        Is("random flags", "s", 1, static d => { d.Ram.Span(HandRing.Driver, 2).Fill(0xfe); Offer(d); }),
        Is("garbage in the suppression words", "s", 1, static d =>
        {
            d.Ram.Span(HandRing.Driver + (ulong)SplitLayout.UsedEvent(HandRing.Size), 2).Fill(0xff);
            d.Ram.Span(HandRing.Device + (ulong)SplitLayout.AvailableEvent(HandRing.Size), 2).Fill(0xff);
            Offer(d);
        }),
        Is("an index that wraps", "s", 4, static d =>
        {
            d.Frontend.StopRing(0);
            Split(d).StartAt(65_534);
            StartAgain(d, 65_534);
            // All requests share one status, so it is not reset while the device may write it.
            d.Prepare(In, 0);
            for (var i = 0; i < 4; i++) d.Offer(s_good);
        }),

        // Packed.
        Nothing("a descriptor of the other lap", "p", static d => { Packed(d).Write(0, s_good[0] with { Flags = HandPackedRing.UsedBit }, 0); d.Kick.Signal(); }),
        new HostileCase("a descriptor both available and used", "p", static d =>
        {
            d.Prepare(In, 0);
            Packed(d).Write(0, s_good[0] with { Flags = HandPackedRing.AvailableBit | HandPackedRing.UsedBit }, 0);
            d.Kick.Signal();
            d.Frontend.StopRing(0);
            // The driver sees the descriptor as used, so only the status shows that nothing was processed.
            Assert.Equal(HandDriver.NoStatus, (byte)d.StatusByte);
        }) { Outcome = Outcome.Anything },
        Nothing("a descriptor neither available nor used", "p", static d => { Packed(d).Write(0, s_good[0], 0); d.Kick.Signal(); }),
        Broken("an id of 16", "p", static d => { d.Prepare(In, 0); Packed(d).Offer(16, s_good); d.Kick.Signal(); }),
        Broken("an id of 65535", "p", static d => { d.Prepare(In, 0); Packed(d).Offer(ushort.MaxValue, s_good); d.Kick.Signal(); }),
        Is("the same id twice", "p", 2, static d => { d.Prepare(In, 0); Packed(d).Offer(3, s_good); Packed(d).Offer(3, s_good); d.Kick.Signal(); }),
        Is("the same id in every chain", "p", 5, static d => { d.Prepare(In, 0); for (var i = 0; i < 5; i++) Packed(d).Offer(3, s_good); d.Kick.Signal(); }),
        Is("garbage in the suppression words", "p", 1, static d => { d.Ram.Span(HandRing.Driver, 2).Fill(0xff); d.Ram.Span(HandRing.Device, 4).Fill(0xff); Offer(d); }),
        Is("unknown flags", "p", 1, static d => { d.Prepare(In, 0); d.Offer([.. s_good.Select(static piece => piece with { Flags = piece.Flags | (DescriptorFlags)0x3f78 })]); }),
        Is("more than two laps", "p", 1, static d => { for (var i = 0; i < 12; i++) Good(d); Offer(d); }),
    ];

    internal static IEnumerable<HostileCase> SetUp =>
    [
        Nothing("kicks without a request", "sp", static d => { for (var i = 0; i < 1000; i++) d.Kick.Signal(); }),
        Is("kicks before and after a request", "sp", 1, static d => { for (var i = 0; i < 10_000; i++) d.Kick.Signal(); Offer(d); for (var i = 0; i < 10_000; i++) d.Kick.Signal(); }),
        Nothing("a kick after the ring was disabled", "sp", static d => { Assert.True(d.AskRing(VhostUserRequest.SetVringEnable, 0)); Offer(d); }),
        Nothing("a kick after the ring was stopped", "sp", static d => { d.Frontend.StopRing(0); Offer(d); }),
        Nothing("a kick after the device was reset", "sp", static d => { Assert.True(d.Ask(VhostUserRequest.ResetDevice, [])); Offer(d); }),
        Is("a request offered before the ring was started", "sp", 1, static d =>
        {
            d.Frontend.StopRing(0);
            Offer(d);
            StartAgain(d, d.Ring.Start);
        }),
        Broken("a base beyond what is available", "s", static d => { d.Frontend.StopRing(0); StartAgain(d, 40_000); }),
        Is("a base outside the ring", "p", 1, static d =>
        {
            d.Frontend.StopRing(0);
            Offer(d);
            // An index outside the ring means its start.
            StartAgain(d, 0x8000_8000 | 100);
        }),
        Nothing("a base of the other lap", "p", static d => { d.Frontend.StopRing(0); Offer(d); StartAgain(d, 0); }),
        new HostileCase("a ring of one entry", "sp", static d =>
        {
            d.Frontend.StopRing(0);
            d.Ring.Clear();
            d.RequestIndirect(In, 0, s_good[1]);
            StartAgain(d, d.Ring.Start, size: 1);
            // The driver's next request would need a second entry.
            Assert.Equal((513u, VirtioBlkStatus.Ok), (d.Complete(), d.StatusByte));
        }) { Outcome = Outcome.Anything },
        Refused("a size of 0", "sp", static d => d.AskRing(VhostUserRequest.SetVringNum, 0)),
        Refused("a size of 12", "s", static d => d.AskRing(VhostUserRequest.SetVringNum, 12)),
        Refused("a size of 2048", "sp", static d => d.AskRing(VhostUserRequest.SetVringNum, 2048)),
        Refused("a size of 65536", "sp", static d => d.AskRing(VhostUserRequest.SetVringNum, 65_536)),
        Refused("misaligned descriptors", "sp", static d => SetAddress(d, HandRing.Descriptors + 8, HandRing.Driver, HandRing.Device)),
        Refused("a misaligned driver area", "sp", static d => SetAddress(d, HandRing.Descriptors, HandRing.Driver + 1, HandRing.Device)),
        Refused("a misaligned device area", "sp", static d => SetAddress(d, HandRing.Descriptors, HandRing.Driver, HandRing.Device + 2)),
        Refused("descriptors outside memory", "sp", static d => SetAddress(d, HandDriver.End, HandRing.Driver, HandRing.Device)),
        Refused("descriptors in a hole", "sp", static d => SetAddress(d, HandDriver.Hole, HandRing.Driver, HandRing.Device)),
        Refused("descriptors across two regions", "sp", static d => SetAddress(d, HandDriver.Second - 16, HandRing.Driver, HandRing.Device)),
        Refused("a device area at the very end", "sp", static d => SetAddress(d, HandRing.Descriptors, HandRing.Driver, HandDriver.End)),
        new HostileCase("areas that overlap one another", "sp", static d =>
        {
            d.Frontend.StopRing(0);
            d.Ask(VhostUserRequest.SetVringAddr, new VringAddress { Descriptors = HandRing.Descriptors, Available = HandRing.Descriptors, Used = HandRing.Descriptors });
            Offer(d);
            d.Ask(VhostUserRequest.SetVringKick, 0ul, d.Kick.Handle);
        }) { Outcome = Outcome.Anything },
        Refused("addresses changed while the ring runs", "sp", static d =>
            d.Ask(VhostUserRequest.SetVringAddr, new VringAddress { Descriptors = HandRing.Descriptors, Available = HandRing.Driver, Used = HandRing.Device + 0x40 })),
        Refused("a size changed while the ring runs", "sp", static d => d.AskRing(VhostUserRequest.SetVringNum, 8)),
        Refused("a base changed while the ring runs", "sp", static d => d.AskRing(VhostUserRequest.SetVringBase, 8)),
    ];

    private static HostileCase Broken(string name, string layouts, Action<HandDriver> act) => new(name, layouts, act) { Outcome = Outcome.Broken };

    private static HostileCase Nothing(string name, string layouts, Action<HandDriver> act) => new(name, layouts, act) { Outcome = Outcome.Nothing };

    // Pops all completions except the last.
    private static HostileCase Is(string name, string layouts, int completions, Action<HandDriver> act) => new(name, layouts, driver =>
    {
        act(driver);
        for (var i = 1; i < completions; i++) Assert.Equal((513u, VirtioBlkStatus.Ok), (driver.Complete(), driver.StatusByte));
    })
    { Written = 513 };

    private static HostileCase Refused(string name, string layouts, Func<HandDriver, bool> act) =>
        new(name, layouts, driver => Assert.False(act(driver))) { Outcome = Outcome.Anything };

    private static HandSplitRing Split(HandDriver driver) => (HandSplitRing)driver.Ring;

    private static HandPackedRing Packed(HandDriver driver) => (HandPackedRing)driver.Ring;

    private static void Offer(HandDriver driver) => driver.Request(In, 0, s_good[1]);

    private static void Good(HandDriver driver)
    {
        Offer(driver);
        Assert.Equal((513u, VirtioBlkStatus.Ok), (driver.Complete(), driver.StatusByte));
    }

    private static void SetAvailable(HandDriver driver, ushort index)
    {
        Split(driver).SetAvailable(index);
        driver.Kick.Signal();
    }

    private static void StartAgain(HandDriver driver, uint position, int size = HandRing.Size) =>
        driver.Frontend.StartRing(0, size, position, HandRing.Descriptors, HandRing.Driver, HandRing.Device, driver.Kick, driver.Call);

    private static bool SetAddress(HandDriver driver, ulong descriptors, ulong available, ulong used)
    {
        driver.Frontend.StopRing(0);
        return driver.Ask(VhostUserRequest.SetVringAddr, new VringAddress { Descriptors = descriptors, Available = available, Used = used })
            && driver.Ask(VhostUserRequest.SetVringKick, 0ul, driver.Kick.Handle);
    }
}
