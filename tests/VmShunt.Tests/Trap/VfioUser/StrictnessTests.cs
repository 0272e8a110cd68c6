using System.Runtime.InteropServices;
using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Trap;
using VmShunt.Trap.VfioUser;

namespace VmShunt.Tests.Trap.VfioUser;

/// <summary>
/// Requests that are nearly right, in bytes, and the errno of each reply, which is that of the specification's own server
/// (libvfio-user); the session lives in any case.
/// </summary>
public sealed class StrictnessTests : IDisposable
{
    private const uint None = 0, EEXIST = 17, EINVAL = 22, ENOSPC = 28, ENOTSUP = 95;
    private const string Zero8 = "0000000000000000", Map = "0000000000000000" + "0000100000000000" + "0010000000000000";

    private readonly ServedDevices _served = new();
    private readonly FramedConnection _client;

    public StrictnessTests()
    {
        _client = new FramedConnection(UnixConnection.Connect(_served.Path));
        _client.Send(MessageGen.Version(1).Bytes);
        Assert.Equal(None, Receive());
    }

    public void Dispose()
    {
        Assert.Equal(None, Ask(4, "10000000" + "000000000000000000000000"));
        _client.Dispose();
        _served.Dispose();
    }

    /// <summary>argsz counts the request's bytes, and the room for the reply: more is allowed, less is not.</summary>
    [Theory]
    [InlineData(2, 32, "03000000" + Map)]
    [InlineData(3, 24, "00000000" + "0000100000000000" + "0010000000000000")]
    [InlineData(4, 16, "000000000000000000000000")]
    [InlineData(5, 32, "00000000" + "05000000" + "00000000" + Zero8 + Zero8)]
    [InlineData(7, 16, "00000000" + "0100000000000000")]
    [InlineData(8, 20, "21000000" + "01000000" + "00000000" + "00000000")]
    public void An_argsz_that_is_too_small_is_refused_and_a_larger_one_is_not(int command, int bytes, string rest)
    {
        Assert.Equal(EINVAL, Ask(command, Hex(0) + rest));
        Assert.Equal(EINVAL, Ask(command, Hex(bytes - 1) + rest));
        Assert.Equal(EINVAL, Ask(command, Hex(bytes) + rest[..^2]));
        Assert.Equal(None, Ask(command, Hex(bytes + 64) + rest));
    }

    [Theory]
    [InlineData("00000000", None)]
    [InlineData("03000000", None)]
    [InlineData("04000000", EINVAL)]
    [InlineData("08000000", EINVAL)]
    [InlineData("03000080", EINVAL)]
    public void Unknown_flags_of_a_map_are_refused(string flags, uint errno) => Assert.Equal(errno, Ask(2, "20000000" + flags + Map));

    [Fact]
    public void A_map_says_that_its_descriptor_can_be_mapped()
    {
        using var file = SharedMemoryFile.Create("test", 0x1000);
        Assert.Equal(None, Ask(2, "20000000" + "07000000" + Map, file));
        Assert.Equal(EEXIST, Ask(2, "20000000" + "07000000" + Map, file));
    }

    [Theory]
    [InlineData("01000000", "0000100000000000", "0010000000000000", ENOTSUP)] // the dirty bitmap
    [InlineData("02000000", "0000100000000000", "0010000000000000", EINVAL)]
    [InlineData("02000000", Zero8, Zero8, None)]
    [InlineData("03000000", Zero8, Zero8, EINVAL)]
    [InlineData("04000000", "0000100000000000", "0010000000000000", EINVAL)]
    [InlineData("00000000", "0008100000000000", "0008000000000000", EINVAL)] // cuts the map
    [InlineData("00000000", "0000100000000000", "0010000000000000", None)]
    public void An_unmap_with_odd_flags_changes_nothing(string flags, string address, string size, uint errno)
    {
        Assert.Equal(None, Ask(2, "20000000" + "03000000" + Map));
        Assert.Equal(errno, Ask(3, "18000000" + flags + address + size));
        Assert.Equal(errno == None ? None : EEXIST, Ask(2, "20000000" + "03000000" + Map));
    }

    [Theory]
    [InlineData("21000000", 1, 0, 0, "", None)] // disable
    [InlineData("21000000", 1, 1, 0, "", EINVAL)]
    [InlineData("21000000", 2, 0, 0, "", EINVAL)] // it has no vectors
    [InlineData("21000000", 5, 0, 0, "", EINVAL)]
    [InlineData("22000000", 1, 0, 0, "", EINVAL)]
    [InlineData("24000000", 1, 0, 0, "", EINVAL)]
    [InlineData("09000000", 0, 0, 0, "", EINVAL)]
    [InlineData("21000000", 1, 0, 1, "", None)] // signal it
    [InlineData("21000000", 1, 0, 2, "", EINVAL)]
    [InlineData("21000000", 1, 4294967295, 2, "", EINVAL)]
    [InlineData("22000000", 1, 0, 1, "01", None)]
    [InlineData("22000000", 1, 0, 1, "", EINVAL)]
    [InlineData("22000000", 1, 0, 1, "0101", EINVAL)]
    [InlineData("24000000", 1, 0, 1, "", None)] // no descriptor: none is assigned
    [InlineData("09000000", 0, 0, 1, "", None)]
    [InlineData("11000000", 0, 0, 1, "", None)]
    [InlineData("09000000", 3, 0, 1, "", EINVAL)] // errors and requests can only be triggered
    [InlineData("12000000", 4, 0, 1, "01", EINVAL)]
    [InlineData("0C000000", 0, 0, 1, "", ENOTSUP)] // mask by an eventfd
    [InlineData("14000000", 0, 0, 1, "", ENOTSUP)]
    [InlineData("20000000", 1, 0, 1, "", EINVAL)] // no data type, two, no action, two, and a bit that is none of them
    [InlineData("23000000", 1, 0, 1, "01", EINVAL)]
    [InlineData("04000000", 1, 0, 1, "", EINVAL)]
    [InlineData("01000000", 1, 0, 1, "", EINVAL)]
    [InlineData("29000000", 1, 0, 1, "", EINVAL)]
    [InlineData("61000000", 1, 0, 1, "", EINVAL)]
    public void Odd_SET_IRQS(string flags, uint index, uint start, uint count, string data, uint errno) =>
        Assert.Equal(errno, Ask(8, "14000000" + flags + Hex(index) + Hex(start) + Hex(count) + data));

    [Fact]
    public void SET_IRQS_takes_as_many_descriptors_as_vectors_and_none_without_eventfds()
    {
        using var eventFd = EventFd.Create();
        const string one = "01000000" + "00000000" + "01000000";
        Assert.Equal(EINVAL, Ask(8, "14000000" + "24000000" + one, eventFd.Handle, eventFd.Handle));
        Assert.Equal(EINVAL, Ask(8, "14000000" + "21000000" + one, eventFd.Handle));
        Assert.Equal(None, Ask(8, "14000000" + "24000000" + one, eventFd.Handle));
        Assert.Equal(None, Ask(8, "14000000" + "21000000" + one));
        Assert.True(eventFd.TryDrain());
    }

    /// <summary>A device without migration: dirty tracking and features are not there, and both say so.</summary>
    [Theory]
    [InlineData(16, "08000000" + "06000200")] // DEVICE_FEATURE: DMA_LOGGING_START
    [InlineData(16, "08000000" + "08000100")] // DMA_LOGGING_REPORT
    [InlineData(16, "08000000" + "01000500")] // PROBE | GET of MIGRATION
    [InlineData(14, "0000000000000000")] // DIRTY_PAGES of earlier revisions
    [InlineData(17, "10000000" + "000000000000000000000000")] // MIG_DATA_READ
    [InlineData(18, "10000000" + "000000000000000000000000")]
    [InlineData(6, "10000000" + "000000000000000000000000")] // GET_REGION_IO_FDS
    [InlineData(15, "0100000000000000")] // REGION_WRITE_MULTI, which was not negotiated
    public void Commands_for_what_the_device_does_not_have_are_answered_with_ENOTSUP(int command, string payload) => Assert.Equal(ENOTSUP, Ask(command, payload));

    [Fact]
    public void A_client_may_map_as_many_ranges_as_VERSION_announces()
    {
        using var client = new FramedConnection(UnixConnection.Connect(_served.Path));
        client.Send(MessageGen.Version(1).Bytes);
        Assert.True(client.Receive(out VfioUserHeader header));
        var version = new byte[header.Size - VfioUserHeader.HeaderBytes];
        Assert.True(client.Receive(version));
        Assert.Contains($"\"max_dma_maps\":{DmaTable.MaxEntries}", System.Text.Encoding.UTF8.GetString(version), StringComparison.Ordinal);
        for (var i = 0; i < DmaTable.MaxEntries; i++) Assert.Equal(None, Ask(2, MapAt(i)));
        Assert.Equal(ENOSPC, Ask(2, MapAt(DmaTable.MaxEntries)));
        Assert.Equal(None, Ask(3, "18000000" + "00000000" + Hex(0x10_0000) + "00000000" + "0010000000000000"));
        Assert.Equal(None, Ask(2, MapAt(DmaTable.MaxEntries)));

        static string MapAt(int page) => "20000000" + "03000000" + Zero8 + Hex(0x10_0000 + page * 0x1000) + "00000000" + "0010000000000000";
    }

    private uint Ask(int command, string payload, params ReadOnlySpan<SafeHandle> descriptors)
    {
        var message = new Message(9, (ushort)command, 0, Convert.FromHexString(payload)).Bytes;
        if (descriptors.IsEmpty) _client.Send(message);
        else _client.Send(message, descriptors);
        return Receive();
    }

    private uint Receive()
    {
        Assert.True(_client.Receive(out VfioUserHeader reply), "the session is closed");
        Assert.True(_client.Receive(new byte[reply.Size - VfioUserHeader.HeaderBytes]));
        Assert.Equal(reply.Error == 0 ? VfioUserFlags.Reply : VfioUserFlags.Reply | VfioUserFlags.Error, reply.Flags);
        return reply.Error;
    }

    private static string Hex(long value) => Convert.ToHexString(BitConverter.GetBytes((uint)value));
}
