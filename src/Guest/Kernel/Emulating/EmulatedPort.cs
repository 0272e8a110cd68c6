using VmShunt.Guest.Block;

namespace VmShunt.Guest.Emulating;

/// <summary>
/// The place below the shunt: one port of the emulated controller, which one driver at a time drives. Its command list is
/// one, so its driver is one; whoever else builds a stack on it shares that driver. While nobody drives it, requests that
/// come here wait, and go where <see cref="GiveBack"/> says. Any thread.
/// </summary>
/// <param name="geometry">What is known of the disk while nobody drives it.</param>
internal sealed class EmulatedPort(DiskGeometry geometry) : IPortDriver
{
    private readonly Lock _lock = new();
    private DiskGeometry _geometry = geometry;
    private AhciPortDriver? _driver;
    private BlockRequestList _held;
    private int _inside;

    public DiskGeometry Geometry => _geometry;

    /// <summary>How long commands take, whoever drives the port.</summary>
    internal TrapCosts Costs { get; } = new();

    /// <summary>Whether it has a driver.</summary>
    internal bool IsDriven => _driver is not null;

    /// <summary>Gives the port to a driver, which this object owns from now on.</summary>
    /// <exception cref="InvalidOperationException">It has one.</exception>
    internal void Drive(AhciPortDriver driver)
    {
        lock (_lock)
        {
            if (_driver is not null) throw new InvalidOperationException("the port has a driver; only its owner can give it up");
            _geometry = driver.Geometry;
            Interlocked.Exchange(ref _driver, driver);
        }
        GiveBack(driver);
    }

    /// <summary>Takes the port from its driver, once that has nothing to do any more. Not from a completion's thread.</summary>
    internal void Release()
    {
        AhciPortDriver? driver;
        lock (_lock) driver = Interlocked.Exchange(ref _driver, null);
        if (driver is null) return;
        // A request is with the driver, or its thread has seen that there is none.
        SpinWait.SpinUntil(() => Interlocked.CompareExchange(ref _inside, 0, 0) == 0);
        SpinWait.SpinUntil(() => driver.IsIdle);
        driver.Dispose();
    }

    /// <summary>Has requests that wait for a driver go another way.</summary>
    internal void GiveBack(IBlockDriver to)
    {
        while (TakeHeld() is { } request) to.Submit(request);
    }

    /// <summary>The port's interrupt.</summary>
    internal void HandleInterrupt() => _driver?.HandleInterrupt();

    public void Submit(BlockRequest request)
    {
        Interlocked.Increment(ref _inside);
        var driver = _driver;
        if (driver is not null) driver.Submit(request);
        Interlocked.Decrement(ref _inside);
        if (driver is null) Hold(request);
    }

    private void Hold(BlockRequest request)
    {
        IBlockDriver? driver;
        lock (_lock)
        {
            driver = _driver;
            if (driver is null) _held.Add(request);
        }
        // It has a driver by now.
        if (driver is not null) Submit(request);
    }

    private BlockRequest? TakeHeld()
    {
        lock (_lock) return _held.TakeFirst();
    }
}
