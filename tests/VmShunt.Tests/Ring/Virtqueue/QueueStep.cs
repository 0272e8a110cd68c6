using CsCheck;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>What the driver or the device of a ring may do next.</summary>
public enum QueueAction
{
    /// <summary>The driver adds a chain.</summary>
    Add,

    /// <summary>The driver publishes the added chains.</summary>
    PublishAdded,

    /// <summary>The device pops a chain.</summary>
    Pop,

    /// <summary>The device tries to un-pop one of the popped chains.</summary>
    Unpop,

    /// <summary>The device returns one of the popped chains.</summary>
    Return,

    /// <summary>The device publishes the returned chains.</summary>
    PublishReturned,

    /// <summary>The driver pops a completion.</summary>
    PopUsed,

    /// <summary>The device enables kicks.</summary>
    ArmDevice,

    /// <summary>The device suppresses kicks.</summary>
    DisarmDevice,

    /// <summary>The driver enables calls.</summary>
    ArmDriver,

    /// <summary>The driver suppresses calls.</summary>
    DisarmDriver,

    /// <summary>Another device attaches at the position of this one.</summary>
    ReplaceDevice,
}

/// <summary>One step of a random walk over a ring.</summary>
/// <param name="Action">What happens.</param>
/// <param name="Choice">Add: the chain's shape. Return and Unpop: which chain.</param>
/// <param name="Value">Add: the buffers' addresses and lengths. Return: the bytes written.</param>
public readonly record struct QueueStep(QueueAction Action, int Choice, ulong Value)
{
    // Adds and pops are frequent, so that rings also fill; a chain is returned less often than popped.
    private static readonly Gen<QueueAction> s_action = Gen.Frequency(
        (20, QueueAction.Add), (10, QueueAction.PublishAdded),
        (20, QueueAction.Pop), (5, QueueAction.Unpop), (15, QueueAction.Return), (10, QueueAction.PublishReturned),
        (15, QueueAction.PopUsed),
        (3, QueueAction.ArmDevice), (2, QueueAction.DisarmDevice), (3, QueueAction.ArmDriver), (2, QueueAction.DisarmDriver),
        (1, QueueAction.ReplaceDevice));

    private static readonly Gen<QueueStep> s_step =
        Gen.Select(s_action, Gen.Int[0, 99], Gen.ULong, static (action, choice, value) => new QueueStep(action, choice, value));

    // Long walks fill rings and wrap them. Short ones are what a failure shrinks to.
    internal static readonly Gen<QueueStep[]> Walk = Gen.OneOf(s_step.Array[0, 500], s_step.Array[0, 40]);
}
