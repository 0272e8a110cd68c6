using System.Buffers.Binary;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>A driver and a device on two threads that block between notifications. The data of each request identifies it.</summary>
public abstract class QueueThreadsTests<TKind, TDriver, TDevice>
    where TKind : IRingKind<TDriver, TDevice>
    where TDriver : struct, IDriverQueue
    where TDevice : struct, IDeviceQueue
{
    private const int Depth = 32, SlotBytes = 512, QuestionBytes = 40, AnswerBytes = 24;

    [Theory]
    [InlineData(WaitPolicy.Adaptive, 200_000, false, false)]
    [InlineData(WaitPolicy.Adaptive, 200_000, true, true)]
    [InlineData(WaitPolicy.Busy, 200_000, false, true)]
    [InlineData(WaitPolicy.Never, 100_000, false, false)]
    [InlineData(WaitPolicy.Never, 100_000, true, true)]
    public void Every_request_completes_once_with_its_own_data(WaitPolicy policy, int requests, bool indirect, bool eventIndex)
    {
        using var pair = new QueuePair<TKind, TDriver, TDevice>(new QueueOptions(64, indirect, eventIndex), Depth * SlotBytes);
        using EventFd kick = EventFd.Create(), call = EventFd.Create();
        var stop = new SharedFlag();
        Exception? fault = null;
        var device = new Thread(() =>
        {
            try
            {
                Answer(pair, policy, kick, call, stop);
            }
            catch (Exception e)
            {
                fault = e;
                stop.Raise();
                call.Signal();
            }
        });
        device.Start();
        try
        {
            Ask(pair, policy, kick, call, stop, requests);
        }
        finally
        {
            stop.Raise();
            kick.Signal();
            device.Join();
        }
        Assert.Null(fault);
    }

    private static void Ask(QueuePair<TKind, TDriver, TDevice> pair, WaitPolicy policy, EventFd kick, EventFd call, SharedFlag stop, int requests)
    {
        using var sleep = new WaitSet(call.Handle);
        var spin = new SpinBudget(policy, SpinBudget.DefaultSpin, mayMove: false);
        var questions = new ulong[Depth];
        var free = new Stack<ushort>(Enumerable.Range(0, Depth).Select(i => (ushort)i));
        var answered = 0;
        ulong next = 1;
        pair.Driver.Disarm();
        while (answered < requests)
        {
            while (next <= (ulong)requests && free.TryPeek(out var slot) && Add(pair, slot, next))
            {
                questions[free.Pop()] = next++;
            }
            if (pair.Driver.Publish()) kick.Signal();
            var worked = false;
            PopResult found;
            while ((found = pair.Driver.TryPopUsed(out var slot, out var written)) == PopResult.Popped)
            {
                var question = questions[slot];
                var answer = pair.Ram.Span(Slot(pair, slot) + 256, AnswerBytes);
                if (question == 0 || written != AnswerBytes || BinaryPrimitives.ReadUInt64LittleEndian(answer) != ~question
                    || answer[8..].ContainsAnyExcept((byte)(question * 7)))
                {
                    Assert.Fail($"slot {slot}, question {question}: {written} bytes {Convert.ToHexString(answer)}");
                }
                questions[slot] = 0;
                free.Push(slot);
                answered++;
                worked = true;
            }
            if (found == PopResult.Broken || stop.IsRaised) Assert.Fail($"after {answered} completions: {pair.Driver.Fault ?? "the device failed"}");
            if (worked || answered == requests) spin.Refill();
            else if (!spin.TrySpin()) Sleep(ref pair.Driver);
        }
        Assert.Equal(0, pair.Driver.InFlight);

        void Sleep(ref TDriver driver)
        {
            if (!driver.Arm())
            {
                Assert.True(sleep.Wait(60_000), $"a wake-up was lost after {answered} completions");
                call.TryDrain();
            }
            driver.Disarm();
            spin.Refill();
        }
    }

    private static bool Add(QueuePair<TKind, TDriver, TDevice> pair, ushort slot, ulong question)
    {
        var at = Slot(pair, slot);
        var data = pair.Ram.Span(at, QuestionBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(data, question);
        data[8..].Fill((byte)question);
        pair.Ram.Span(at + 256, AnswerBytes).Clear();
        // One, two or three buffers for the same bytes.
        return (question % 3) switch
        {
            0 => pair.Driver.TryAdd([new(at, QuestionBytes), new(at + 256, AnswerBytes)], 1, slot),
            1 => pair.Driver.TryAdd([new(at, 8), new(at + 8, QuestionBytes - 8), new(at + 256, AnswerBytes)], 2, slot),
            _ => pair.Driver.TryAdd([new(at, QuestionBytes), new(at + 256, 1), new(at + 257, AnswerBytes - 1)], 1, slot),
        };
    }

    private static void Answer(QueuePair<TKind, TDriver, TDevice> pair, WaitPolicy policy, EventFd kick, EventFd call, SharedFlag stop)
    {
        using var sleep = new WaitSet(kick.Handle);
        var spin = new SpinBudget(policy, SpinBudget.DefaultSpin, mayMove: false);
        IoVectors question = new(), answer = new();
        var data = new byte[QuestionBytes];
        var handles = new ChainHandle[4];
        pair.Device.Disarm();
        while (!stop.IsRaised)
        {
            var popped = 0;
            while (popped < handles.Length && pair.Device.TryPop(pair.Chain) == PopResult.Popped)
            {
                question.Clear();
                answer.Clear();
                foreach (var s in pair.Chain.Readable) Assert.True(pair.Ram.Memory.TryAppend(s.Address, s.Length, false, question));
                foreach (var s in pair.Chain.Writable) Assert.True(pair.Ram.Memory.TryAppend(s.Address, s.Length, true, answer));
                Assert.Equal(QuestionBytes, question.CopyTo(data));
                var number = BinaryPrimitives.ReadUInt64LittleEndian(data);
                Assert.False(data.AsSpan(8).ContainsAnyExcept((byte)number));
                data.AsSpan(0, AnswerBytes).Fill((byte)(number * 7));
                BinaryPrimitives.WriteUInt64LittleEndian(data, ~number);
                Assert.Equal(AnswerBytes, answer.CopyFrom(data.AsSpan(0, AnswerBytes)));
                handles[popped++] = pair.Chain.Handle;
            }
            Assert.Null(pair.Device.Fault);
            // In reverse order.
            for (var i = popped - 1; i >= 0; i--) pair.Device.Return(handles[i], AnswerBytes);
            if (pair.Device.Publish()) call.Signal();
            if (popped > 0) spin.Refill();
            else if (!spin.TrySpin()) Sleep(ref pair.Device);
        }

        void Sleep(ref TDevice device)
        {
            if (!device.Arm())
            {
                Assert.True(sleep.Wait(60_000), "a wake-up was lost");
                kick.TryDrain();
            }
            device.Disarm();
            spin.Refill();
        }
    }

    private static ulong Slot(QueuePair<TKind, TDriver, TDevice> pair, ushort slot) => pair.Data + (ulong)(slot * SlotBytes);
}
