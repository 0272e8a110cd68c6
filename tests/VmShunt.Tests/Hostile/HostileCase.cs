using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Tests.Hostile;

/// <summary>What must come of a hostile input.</summary>
internal enum Outcome
{
    /// <summary>A status and a used length.</summary>
    Status,

    /// <summary>The chain comes back with nothing written: there is no place for a status.</summary>
    Returned,

    /// <summary>The queue is broken: the error descriptor says so, nothing more is done.</summary>
    Broken,

    /// <summary>Nothing is there for the device to take.</summary>
    Nothing,

    /// <summary>The guest hurts its own ring: anything, but only to itself.</summary>
    Anything,
}

/// <summary>One hostile input, and what must come of it. The name is the test's data.</summary>
/// <param name="Name">What the guest does.</param>
/// <param name="Layouts">"sp", "s" or "p": in which ring layouts there is such an input.</param>
/// <param name="Act">Does it.</param>
internal sealed record HostileCase(string Name, string Layouts, Action<HandDriver> Act)
{
    internal Outcome Outcome { get; init; } = Outcome.Status;

    internal VirtioBlkStatus Status { get; init; }

    internal uint Written { get; init; } = 1;

    /// <summary>Does it, sees what comes of it, and that a well-formed request then succeeds.</summary>
    internal void Run(HandDriver driver)
    {
        Act(driver);
        switch (Outcome)
        {
            case Outcome.Status:
                Assert.Equal((Written, Status), (driver.Complete(), driver.StatusByte));
                driver.AssertWell();
                break;
            case Outcome.Returned:
                Assert.Equal((0u, HandDriver.NoStatus), (driver.Complete(), (byte)driver.StatusByte));
                driver.AssertWell();
                break;
            case Outcome.Broken:
                Assert.Null(driver.Complete());
                break;
            case Outcome.Nothing:
                // Stopping drains: what could be taken would have been.
                driver.Frontend.StopRing(0);
                Assert.False(driver.Ring.TryTakeUsed(out _, out _));
                break;
        }
        driver.Restart();
        driver.AssertWell();
    }
}
