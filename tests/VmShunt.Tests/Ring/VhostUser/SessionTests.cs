using VmShunt.Ring.VhostUser;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>
/// A back-end with an echo device, a front-end that sends any message, and a driver of ring 0. After each test no
/// descriptor is left open.
/// </summary>
public abstract class SessionTests : IDisposable
{
    private protected const ulong ProtocolFeatures = 1ul << 30, Version1 = 1ul << 32;

    private protected SessionTests()
    {
        Frontend = new RawFrontend(Backend);
        Client = new EchoClient(Ram, 0, eventIndex: false);
    }

    private protected TestMemory Ram { get; } = new(0x2_0000);

    private protected ServedBackend Backend { get; } = new();

    private protected RawFrontend Frontend { get; }

    private protected EchoClient Client { get; }

    public void Dispose()
    {
        Frontend.Dispose();
        Backend.Dispose();
        Assert.Equal(1, Descriptors.Of(Ram.File));
        Assert.Equal(1, Descriptors.Of(Client.Kick.Handle));
        Assert.Equal(1, Descriptors.Of(Client.Call.Handle));
        Client.Dispose();
        Ram.Dispose();
        GC.SuppressFinalize(this);
    }

    private protected static VhostUserMemoryRegion Region(ulong offset, ulong size) => new()
    {
        GuestAddress = TestMemory.Start + offset,
        UserAddress = TestMemory.Start + offset,
        Size = size,
        FileOffset = offset,
    };

    /// <summary>Everything that ring 0 needs, except the kick eventfd and the enable.</summary>
    private protected void Configure()
    {
        Assert.True(Frontend.Ask(VhostUserRequest.SetFeatures, Version1 | ProtocolFeatures));
        Assert.True(Frontend.AddMemory(Region(0, 0x2_0000), Ram.File));
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringNum, 0, 16));
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringBase, 0, 0));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringAddr, Client.Address));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringCall, 0ul, Client.Call.Handle));
    }

    /// <summary>Sets ring 0 up correctly, whatever was refused before, and sends a request through it.</summary>
    private protected void Serve()
    {
        if (Frontend.RemoveMemory(Region(0, 0x2_0000))) Frontend.GetVringBase(0);
        Configure();
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringKick, 0ul, Client.Kick.Handle));
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        Client.Echo("hello");
    }
}
