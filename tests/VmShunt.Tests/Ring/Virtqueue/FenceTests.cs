using System.Reflection;
using System.Reflection.Emit;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>
/// What <see cref="SuppressionRaceTests{TKind, TDriver, TDevice}"/> sees fail only while both threads have a processor each: the
/// full fence, in the compiled methods.
/// </summary>
public sealed class FenceTests
{
    private static readonly Dictionary<short, OpCode> s_opCodes = typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static)
        .Select(static field => (OpCode)field.GetValue(null)!).ToDictionary(static code => code.Value);

    [Theory]
    [InlineData(typeof(SplitDriverQueue), nameof(IDriverQueue.Publish))]
    [InlineData(typeof(SplitDriverQueue), nameof(IDriverQueue.Arm))]
    [InlineData(typeof(SplitDeviceQueue), nameof(IDeviceQueue.Publish))]
    [InlineData(typeof(SplitDeviceQueue), nameof(IDeviceQueue.Arm))]
    [InlineData(typeof(PackedDriverQueue), nameof(IDriverQueue.Publish))]
    [InlineData(typeof(PackedDriverQueue), nameof(IDriverQueue.Arm))]
    [InlineData(typeof(PackedDeviceQueue), nameof(IDeviceQueue.Publish))]
    [InlineData(typeof(PackedDeviceQueue), nameof(IDeviceQueue.Arm))]
    public void A_full_fence_stands_between_the_last_store_and_the_first_load_of_a_publish_or_an_arm(Type queue, string method)
    {
        var calls = Calls(queue.GetMethod(method)!);
        var fence = calls.IndexOf(nameof(Fence.StoreBeforeLoad));
        Assert.True(fence >= 0, string.Join(", ", calls));
        Assert.Contains(calls[..fence], IsStore);
        Assert.DoesNotContain(calls[fence..], IsStore);
        Assert.DoesNotContain(calls[..fence], IsLoad);
        Assert.Contains(calls[fence..], IsLoad);
    }

    [Fact]
    public void The_fence_is_a_full_barrier() =>
        Assert.Equal([nameof(Interlocked.MemoryBarrier)], Calls(typeof(Fence).GetMethod(nameof(Fence.StoreBeforeLoad))!));

    // PackedEvent writes and reads the event suppression structures.
    private static bool IsStore(string name) => name.StartsWith("Write", StringComparison.Ordinal) || name == "Arm";

    private static bool IsLoad(string name) => name.StartsWith("Read", StringComparison.Ordinal) || name is "IsWanted" or "IsAvailable" or "IsUsed";

    /// <summary>The names of the methods that a method calls, in the order of its code.</summary>
    private static List<string> Calls(MethodInfo method)
    {
        var code = method.GetMethodBody()!.GetILAsByteArray()!;
        var calls = new List<string>();
        for (var at = 0; at < code.Length;)
        {
            var value = code[at++];
            var opCode = s_opCodes[value == 0xfe ? (short)(0xfe00 | code[at++]) : value];
            if (opCode.OperandType == OperandType.InlineMethod)
                calls.Add(method.Module.ResolveMethod(BitConverter.ToInt32(code, at), method.DeclaringType!.GetGenericArguments(), null)!.Name);
            at += opCode.OperandType switch
            {
                OperandType.InlineNone => 0,
                OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                OperandType.InlineVar => 2,
                OperandType.InlineI8 or OperandType.InlineR => 8,
                OperandType.InlineSwitch => 4 + 4 * BitConverter.ToInt32(code, at),
                _ => 4,
            };
        }
        return calls;
    }
}
