using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Emulating;

/// <summary>
/// The place below the shunt: one port of the emulated controller, which one driver at a time drives. Its command list is
/// one, so its driver is one; whoever else builds a stack on it shares that driver. While nobody drives it, requests that
/// come here go where <see cref="Detour"/> says, or wait until there is a way. Any thread.
/// </summary>
/// <param name="geometry">What is known of the disk while nobody drives it.</param>
internal sealed class EmulatedPort(DiskGeometry geometry) : IPortDriver, IBatchSubmitter
{
    private readonly Lock _lock = new();
    private DiskGeometry _geometry = geometry;
    private AhciPortDriver? _driver;
    private AhciPortDriver? _interrupted;
    private IBlockDriver? _detour;
    private BlockRequestList _held;
    private int _submitting, _handling;

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
            Interlocked.Exchange(ref _interrupted, driver);
            Interlocked.Exchange(ref _driver, driver);
        }
        GiveHeld();
    }

    /// <summary>Takes the port from its driver, once what that has is done. Not from a completion's thread.</summary>
    internal void Release()
    {
        AhciPortDriver? driver;
        lock (_lock) driver = Interlocked.Exchange(ref _driver, null);
        if (driver is null) return;
        // A request is with the driver, or its thread has seen that there is none.
        Wait(ref _submitting);
        // Until then the interrupt is the driver's.
        SpinWait.SpinUntil(() => driver.IsIdle);
        Interlocked.Exchange(ref _interrupted, null);
        Wait(ref _handling);
        driver.Dispose();
    }

    /// <summary>Says where requests go while nobody drives the port; null: they wait.</summary>
    internal void Detour(IBlockDriver? to)
    {
        lock (_lock) _detour = to;
        GiveHeld();
    }

    /// <summary>The port's interrupt.</summary>
    internal void HandleInterrupt()
    {
        Interlocked.Increment(ref _handling);
        _interrupted?.HandleInterrupt();
        Interlocked.Decrement(ref _handling);
    }

    public void Submit(BlockRequest request)
    {
        if (BatchSubmission.TryKeep(this, request)) return;
        Interlocked.Increment(ref _submitting);
        var driver = _driver;
        if (driver is not null) driver.Submit(request);
        Interlocked.Decrement(ref _submitting);
        if (driver is null) Hold(request);
    }

    public void TakeKept(BlockRequest newest, BlockRequest oldest)
    {
        var request = BlockRequestList.Reverse(newest);
        Interlocked.Increment(ref _submitting);
        var driver = _driver;
        driver?.SubmitAll(request);
        Interlocked.Decrement(ref _submitting);
        if (driver is not null) return;
        while (request is not null)
        {
            var next = request.Next;
            Hold(request);
            request = next;
        }
    }

    private void Hold(BlockRequest request)
    {
        bool hasWay;
        lock (_lock)
        {
            _held.Add(request);
            // It may have a driver by now.
            hasWay = _driver is not null || _detour is not null;
        }
        // On a thread of its own: a detour that is just being lost gives the request back to here.
        if (hasWay) ThreadPool.UnsafeQueueUserWorkItem(static port => port.GiveHeld(), this, preferLocal: false);
    }

    private void GiveHeld()
    {
        IBlockDriver? way;
        BlockRequestList held;
        lock (_lock)
        {
            way = _driver is not null ? this : _detour;
            if (way is null) return;
            (held, _held) = (_held, default);
        }
        while (held.TakeFirst() is { } request) way.Submit(request);
    }

    private static void Wait(ref int threads)
    {
        var wait = new SpinWait();
        while (Interlocked.CompareExchange(ref threads, 0, 0) != 0) wait.SpinOnce();
    }
}
