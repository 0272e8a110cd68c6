using CsCheck;
using VmShunt.BlockBackend.Disk.Nbd;
using Xunit.Abstractions;
using static VmShunt.BlockBackend.Disk.Nbd.NbdProtocol;

namespace VmShunt.Tests.HostPartition.Block.Disk.Nbd;

/// <summary>Any order of replies to concurrent reads, ended by any violation of the protocol.</summary>
public sealed class NbdReplyPropertyTests(ITestOutputHelper output)
{
    private const int Handles = 256;

    private static readonly Gen<Scenario> s_scenario =
        from reads in Gen.Select(Gen.Int[1, 5000], Gen.Frequency<uint>((4, Gen.Const(0u)), (1, Gen.OneOf<uint>(5, 28, uint.MaxValue))), static (bytes, error) => new PlannedRead(bytes, error)).Array[1, 12]
        from order in Gen.Shuffle(Enumerable.Range(0, reads.Length).ToArray())
        from replies in Gen.Int[0, reads.Length]
        from violation in Gen.Enum<Violation>()
        select new Scenario(reads, order, replies, violation);

    private enum Violation
    {
        Close,
        WrongMagic,
        HandleOutOfRange,
        HandleNotInFlight,
        HandleRepeated,
        CutHeader,
        CutData,
    }

    [Fact]
    public void Each_reply_completes_its_own_request_and_a_violation_loses_the_rest() =>
        s_scenario.Sample(Run, writeLine: output.WriteLine, iter: 150, threads: 1, print: static scenario =>
            $"reads {string.Join(' ', scenario.Reads.Select(static read => $"{read.Bytes}/{read.Error}"))} order {string.Join(' ', scenario.Order)} replies {scenario.Replies} {scenario.Violation}");

    private static void Run(Scenario scenario)
    {
        var reads = scenario.Reads;
        using var server = new ScriptedNbdServer(peer => Reply(peer, scenario));
        using var connection = NbdConnection.Open(NbdAddress.Parse(server.Address), NbdLimits.Default, default);
        var results = new (bool IsDone, uint Error, byte[] Data)[reads.Length];
        var callers = reads.Select((read, i) => new Thread(() =>
        {
            using var request = new NbdRequest();
            request.Reserve(read.Bytes);
            var isDone = connection.TryExecute(request, NbdCommand.NBD_CMD_READ, 0, i, read.Bytes);
            results[i] = (isDone, request.Error, isDone && request.Error == 0 ? request.Data(read.Bytes).ToArray() : []);
        })).ToList();
        callers.ForEach(static caller => caller.Start());
        callers.ForEach(static caller => Assert.True(caller.Join(TimeSpan.FromSeconds(60)), "a request did not complete"));

        for (var at = 0; at < reads.Length; at++)
        {
            var i = scenario.Order[at];
            Assert.Equal((at < scenario.Replies, at < scenario.Replies ? reads[i].Error : 0), (results[i].IsDone, results[i].Error));
            if (results[i].IsDone && reads[i].Error == 0) Assert.Equal(Data(i, reads[i].Bytes), results[i].Data);
        }
    }

    private static void Reply(NbdPeer peer, Scenario scenario)
    {
        var reads = scenario.Reads;
        peer.Handshake(1 << 20);
        // The offset says which read it is.
        var handles = new ulong[reads.Length];
        for (var i = 0; i < reads.Length; i++)
        {
            var request = peer.ReceiveRequest();
            handles[request.Offset] = request.Handle;
        }
        for (var at = 0; at < scenario.Replies; at++)
        {
            var i = scenario.Order[at];
            peer.Reply(handles[i], reads[i].Error, reads[i].Error == 0 ? Data(i, reads[i].Bytes) : []);
        }
        var isLast = scenario.Replies == reads.Length;
        var next = isLast ? 0 : handles[scenario.Order[scenario.Replies]];
        var bytes = isLast ? 1 : reads[scenario.Order[scenario.Replies]].Bytes;
        switch (scenario.Violation)
        {
            case Violation.WrongMagic:
                peer.Send(NbdPeer.SimpleReply(next, 0, new byte[bytes], SimpleReplyMagic ^ 1));
                break;
            case Violation.HandleOutOfRange:
                ReplyAndGoOn(Handles);
                break;
            case Violation.HandleNotInFlight:
                ReplyAndGoOn(Enumerable.Range(0, Handles).Select(static handle => (ulong)handle).Except(handles).First());
                break;
            case Violation.HandleRepeated when scenario.Replies > 0:
                ReplyAndGoOn(handles[scenario.Order[scenario.Replies - 1]]);
                break;
            case Violation.CutHeader:
                peer.Send(NbdPeer.SimpleReply(next, 0, []).AsSpan(0, SimpleReplyBytes - 1));
                break;
            case Violation.CutData when !isLast:
                peer.Reply(next, 0, new byte[bytes - 1]);
                break;
        }

        // An error has no data, so the replies that follow are where a client that ignores this one looks for them.
        void ReplyAndGoOn(ulong handle)
        {
            peer.Reply(handle, 5);
            foreach (var i in scenario.Order.Skip(scenario.Replies)) peer.Reply(handles[i], reads[i].Error, reads[i].Error == 0 ? Data(i, reads[i].Bytes) : []);
        }
    }

    private static byte[] Data(int read, int bytes) => [.. Enumerable.Range(0, bytes).Select(at => (byte)(read * 31 + at))];

    private sealed record PlannedRead(int Bytes, uint Error);

    /// <param name="Reads">The requests in flight.</param>
    /// <param name="Order">The order of the replies.</param>
    /// <param name="Replies">How many are replied to.</param>
    /// <param name="Violation">What follows.</param>
    private sealed record Scenario(PlannedRead[] Reads, int[] Order, int Replies, Violation Violation);
}
