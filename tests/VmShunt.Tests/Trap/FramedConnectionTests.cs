using System.Buffers.Binary;
using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Trap;

namespace VmShunt.Tests.Trap;

/// <summary>Frames keep their bytes and messages their descriptors, however the kernel merges what was sent.</summary>
public sealed class FramedConnectionTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Messages_split_anywhere_keep_their_bytes_and_descriptors(bool readAhead)
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        for (var round = 0; round < 200; round++)
        {
            var (one, two) = UnixConnection.CreatePair();
            using var sender = one;
            using var receiver = new FramedConnection(two, readAhead);
            var messages = new (byte[] Bytes, int Descriptors)[random.Next(1, 12)];
            // Everything is sent before the first receive, so the kernel merges as much as it can.
            for (var i = 0; i < messages.Length; i++)
            {
                messages[i] = (NewMessage(random), random.Next(3) == 0 ? random.Next(1, 4) : 0);
                SendInPieces(sender, random, i, messages[i].Bytes, messages[i].Descriptors);
            }
            sender.ShutdownSend();
            for (var i = 0; i < messages.Length; i++)
            {
                var why = $"seed {seed}, round {round}, message {i}";
                Assert.True(receiver.Receive(out uint length), why);
                var payload = new byte[length];
                Assert.True(receiver.Receive(payload), why);
                Assert.True(messages[i].Bytes.AsSpan(sizeof(uint)).SequenceEqual(payload), why);
                for (var d = 0; d < messages[i].Descriptors; d++)
                {
                    Assert.True(receiver.Descriptors.TryTake(out var descriptor), why);
                    using (descriptor) Assert.True(LengthFor(i, d) == RandomAccess.GetLength(descriptor), why);
                }
                Assert.True(receiver.Descriptors.Count == 0, why);
            }
            Assert.False(receiver.HasMore);
            Assert.False(receiver.Receive(out uint _));
        }
    }

    [Fact]
    public void With_read_ahead_one_receive_takes_everything_available()
    {
        var (one, two) = UnixConnection.CreatePair();
        using var sender = one;
        using var receiver = new FramedConnection(two, readAhead: true);
        sender.Send(new byte[100]);
        Assert.True(receiver.Receive(new byte[16]));
        Assert.True(receiver.HasMore);
        using (var nothing = new WaitSet(receiver.Handle)) Assert.False(nothing.Wait(0));
        Assert.True(receiver.Receive(new byte[84]));
        Assert.False(receiver.HasMore);
    }

    [Fact]
    public void A_message_in_many_pieces_is_limited_to_the_descriptors_of_one()
    {
        var (one, two) = UnixConnection.CreatePair();
        using var sender = one;
        using var receiver = new FramedConnection(two, readAhead: true);
        using var file = SharedMemoryFile.Create("test", 4096);
        for (var i = 0; i < 40; i++) sender.Send([1], [file]);
        sender.Send([2, 2]);
        Assert.True(receiver.Receive(new byte[40]));
        Assert.Equal(UnixConnection.MaxDescriptors, receiver.Descriptors.Count);
        receiver.Descriptors.CloseAll();
        Assert.True(receiver.Receive(new byte[2]));
        Assert.Equal(0, receiver.Descriptors.Count);
    }

    [Fact]
    public void A_close_inside_a_frame_is_an_error_and_between_frames_is_not()
    {
        var (one, two) = UnixConnection.CreatePair();
        using var receiver = new FramedConnection(two, readAhead: true);
        using (one) one.Send(new byte[10]);
        Assert.True(receiver.Receive(new byte[4]));
        Assert.Contains("after 6 of 7 bytes", Assert.Throws<IOException>(() => receiver.Receive(new byte[7])).Message, StringComparison.Ordinal);
        Assert.True(receiver.Receive(new byte[6]));
        Assert.False(receiver.Receive(new byte[1]));
    }

    private static byte[] NewMessage(Random random)
    {
        var message = new byte[sizeof(uint) + (random.Next(8) == 0 ? random.Next(3000, 9000) : random.Next(0, 64))];
        random.NextBytes(message);
        BinaryPrimitives.WriteInt32LittleEndian(message, message.Length - sizeof(uint));
        return message;
    }

    // The descriptors are sent with any one piece of their own message.
    private static void SendInPieces(UnixConnection sender, Random random, int index, byte[] message, int descriptors)
    {
        var pieces = new List<int> { 0, message.Length };
        for (var cuts = random.Next(0, 3); cuts > 0; cuts--) pieces.Add(random.Next(1, message.Length));
        var cut = pieces.Distinct().Order().ToArray();
        var bringing = random.Next(cut.Length - 1);
        for (var piece = 0; piece < cut.Length - 1; piece++)
        {
            var files = Enumerable.Range(0, piece == bringing ? descriptors : 0).Select(d => SharedMemoryFile.Create("test", LengthFor(index, d))).ToArray();
            sender.Send(message.AsSpan(cut[piece]..cut[piece + 1]), files);
            foreach (var file in files) file.Dispose();
        }
    }

    private static long LengthFor(int message, int descriptor) => 4096L * (1 + 16 * message + descriptor);
}
