using CsCheck;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>What may happen to a ring whose device keeps a record of its requests in flight.</summary>
public enum InflightAction
{
    /// <summary>The driver adds a chain.</summary>
    Add,

    /// <summary>The driver publishes the added chains.</summary>
    PublishAdded,

    /// <summary>The driver pops all completions.</summary>
    PopUsed,

    /// <summary>The device pops a chain and processes it.</summary>
    Pop,

    /// <summary>The device pops a chain and un-pops it.</summary>
    Unpop,

    /// <summary>The device returns some chains and publishes them.</summary>
    Return,

    /// <summary>The device returns some chains and dies before it publishes them.</summary>
    ReturnAndDie,

    /// <summary>The device's process dies; the next one attaches.</summary>
    Die,
}

/// <summary>One step; <paramref name="Choice"/> says how many buffers or which chains.</summary>
public readonly record struct InflightStep(InflightAction Action, int Choice)
{
    private static readonly Gen<InflightAction> s_action = Gen.Frequency(
        (20, InflightAction.Add), (12, InflightAction.PublishAdded), (10, InflightAction.PopUsed),
        (18, InflightAction.Pop), (2, InflightAction.Unpop), (10, InflightAction.Return),
        (1, InflightAction.ReturnAndDie), (2, InflightAction.Die));

    private static readonly Gen<InflightStep> s_step =
        Gen.Select(s_action, Gen.Int[0, 99], static (action, choice) => new InflightStep(action, choice));

    // Long walks fill rings and wrap them. Short ones are what a failure shrinks to.
    internal static readonly Gen<InflightStep[]> Walk = Gen.OneOf(s_step.Array[0, 300], s_step.Array[0, 30]);
}
