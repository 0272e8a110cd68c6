using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Tests.Hostile;

/// <summary>The expected outcome of a hostile input.</summary>
internal enum Outcome
{
    /// <summary>The request completes with a status and a used length.</summary>
    Status,

    /// <summary>The chain is returned with nothing written, because it has no place for a status.</summary>
    Returned,

    /// <summary>The queue breaks: the error eventfd is signalled, and nothing more is popped.</summary>
    Broken,

    /// <summary>No chain is available to the device.</summary>
    Nothing,

    /// <summary>The guest damages its own ring. Anything may happen to it, and nothing to others.</summary>
    Anything,
}

/// <summary>One hostile input and its expected outcome. The name is the test's data.</summary>
/// <param name="Name">What the guest does.</param>
/// <param name="Layouts">The ring layouts in which the input exists: "sp", "s" or "p".</param>
/// <param name="Act">Sends the input.</param>
internal sealed record HostileCase(string Name, string Layouts, Action<HandDriver> Act)
{
    internal Outcome Outcome { get; init; } = Outcome.Status;

    internal VirtioBlkStatus Status { get; init; }

    internal uint Written { get; init; } = 1;

    /// <summary>Sends the input, checks the outcome, and checks that a well-formed request then succeeds.</summary>
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
                // A stop drains the ring, so an available chain would have been popped.
                driver.Frontend.StopRing(0);
                Assert.False(driver.Ring.TryPopUsed(out _, out _));
                break;
        }
        driver.Restart();
        driver.AssertWell();
    }
}
