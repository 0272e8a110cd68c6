using CsCheck;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>Random walks of both ends of a ring, compared step by step with a <see cref="QueueModel{TKind, TDriver, TDevice}"/>.</summary>
public abstract class QueueModelTests<TKind, TDriver, TDevice>
    where TKind : IRingKind<TDriver, TDevice>
    where TDriver : struct, IDriverQueue
    where TDevice : struct, IDeviceQueue
{
    private static readonly Gen<QueueOptions> s_options =
        Gen.Select(Gen.OneOf(TKind.Sizes), Gen.Bool, Gen.Bool, static (size, indirect, eventIndex) => new QueueOptions(size, indirect, eventIndex));

    // The split ring wraps its indices at 65536. Getting there is slow, so few walks start there.
    private static readonly Gen<int> s_start = Gen.Frequency((59, Gen.Int[0, 40]), (1, Gen.Int[65_500, 65_540]));

    [Fact]
    public void A_ring_behaves_like_a_list_of_chains() =>
        Gen.Select(s_options, s_start, QueueStep.Walk).Sample(
            static (options, start, steps) =>
            {
                using var model = new QueueModel<TKind, TDriver, TDevice>(options, start);
                model.Run(steps);
            },
            iter: 1500,
            print: static walk => $"{walk.Item1}, {walk.Item2} requests before{string.Concat(walk.Item3.Select(static step => $"\n  {step}"))}");
}
