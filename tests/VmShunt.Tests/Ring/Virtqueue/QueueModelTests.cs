using VmShunt.Ring.Virtqueue;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>Long random walks of both ends beside a model that is a few plain collections.</summary>
public abstract class QueueModelTests<TKind, TDriver, TDevice>
    where TKind : IRingKind<TDriver, TDevice>
    where TDriver : struct, IDriverQueue
    where TDevice : struct, IDeviceQueue
{
    private sealed record Request(ushort Token, QueueBuffer[] Buffers, int Readable, int Slots);

    [Theory]
    [InlineData(1, false, false)]
    [InlineData(2, false, true)]
    [InlineData(8, true, false)]
    [InlineData(16, false, true)]
    [InlineData(64, true, true)]
    [InlineData(256, false, false)]
    public void The_ring_does_what_a_list_would_do(int size, bool indirect, bool eventIndex)
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        using var pair = new QueuePair<TKind, TDriver, TDevice>(new QueueOptions(size, indirect, eventIndex));
        var added = new Queue<Request>();
        var available = new Queue<Request>();
        var taken = new List<(Request Request, ChainHandle Handle)>();
        var returned = new Queue<(Request Request, uint Written)>();
        var used = new Queue<(Request Request, uint Written)>();
        var freeTokens = new Queue<ushort>(Enumerable.Range(0, size).Select(i => (ushort)i));
        var slots = 0;
        bool deviceSleeps = false, driverSleeps = false;

        for (var step = 0; step < 300_000; step++)
        {
            var where = $"seed {seed}, step {step}";
            switch (random.Next(9))
            {
                case 0 or 1:
                    var request = Make(pair, freeTokens, random, size);
                    if (request is null) break;
                    var fits = slots + request.Slots <= size;
                    Check(fits == pair.Driver.TryAdd(request.Buffers, request.Readable, request.Token), where);
                    if (!fits) break;
                    freeTokens.Dequeue();
                    added.Enqueue(request);
                    slots += request.Slots;
                    break;
                case 2:
                    var kick = pair.Driver.Publish();
                    // A sleeping device must hear of the first chain; nobody may be disturbed for nothing.
                    if (deviceSleeps && added.Count > 0) Check(kick, where);
                    if (added.Count == 0) Check(!kick, where);
                    if (kick) deviceSleeps = false;
                    while (added.TryDequeue(out var one)) available.Enqueue(one);
                    break;
                case 3 or 4:
                    deviceSleeps = false;
                    var take = pair.Device.TryTake(pair.Chain);
                    Check(take == (available.Count > 0 ? PopResult.Taken : PopResult.Empty), where);
                    if (take != PopResult.Taken) break;
                    var expected = available.Dequeue();
                    Check(Same(expected, pair.Chain), where);
                    taken.Add((expected, pair.Chain.Handle));
                    break;
                case 5:
                    if (taken.Count == 0) break;
                    var at = random.Next(taken.Count);
                    var written = (uint)random.Next();
                    pair.Device.Return(taken[at].Handle, written);
                    returned.Enqueue((taken[at].Request, written));
                    taken.RemoveAt(at);
                    break;
                case 6:
                    var call = pair.Device.Publish();
                    if (driverSleeps && returned.Count > 0) Check(call, where);
                    if (returned.Count == 0) Check(!call, where);
                    if (call) driverSleeps = false;
                    while (returned.TryDequeue(out var one)) used.Enqueue(one);
                    break;
                case 7:
                    driverSleeps = false;
                    var completion = pair.Driver.TryTakeUsed(out var token, out var usedWritten);
                    Check(completion == (used.Count > 0 ? PopResult.Taken : PopResult.Empty), where);
                    if (completion != PopResult.Taken) break;
                    var done = used.Dequeue();
                    Check((done.Request.Token, done.Written) == (token, usedWritten), where);
                    freeTokens.Enqueue(token);
                    slots -= done.Request.Slots;
                    break;
                case 8:
                    switch (random.Next(4))
                    {
                        case 0:
                            var chains = pair.Device.Arm();
                            Check(chains == available.Count > 0, where);
                            deviceSleeps = !chains;
                            break;
                        case 1:
                            pair.Device.Disarm();
                            deviceSleeps = false;
                            break;
                        case 2:
                            var completions = pair.Driver.Arm();
                            Check(completions == used.Count > 0, where);
                            driverSleeps = !completions;
                            break;
                        default:
                            pair.Driver.Disarm();
                            driverSleeps = false;
                            break;
                    }
                    break;
            }
            Check(pair.Driver.InFlight == size - freeTokens.Count, where);
        }
    }

    private static Request? Make(QueuePair<TKind, TDriver, TDevice> pair, Queue<ushort> freeTokens, Random random, int size)
    {
        if (!freeTokens.TryPeek(out var token)) return null;
        var buffers = new QueueBuffer[1 + random.Next(Math.Min(size + 1, 10))];
        foreach (ref var buffer in buffers.AsSpan()) buffer = new QueueBuffer((ulong)random.NextInt64() & ulong.MaxValue >> 4, (uint)random.Next());
        return new Request(token, buffers, random.Next(buffers.Length + 1), pair.Slots(buffers.Length));
    }

    private static bool Same(Request request, DescriptorChain chain)
    {
        if (chain.Count != request.Buffers.Length || chain.ReadableCount != request.Readable) return false;
        for (var i = 0; i < chain.Count; i++)
        {
            var segment = i < request.Readable ? chain.Readable[i] : chain.Writable[i - request.Readable];
            if ((segment.Address, segment.Length) != (request.Buffers[i].Address, request.Buffers[i].Length)) return false;
        }
        return true;
    }

    // Assert.True would build its arguments hundreds of thousands of times.
    private static void Check(bool condition, string where)
    {
        if (!condition) Assert.Fail(where);
    }
}
