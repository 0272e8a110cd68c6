using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Guest.Requests;
using VmShunt.Ring.Memory;

namespace VmShunt.Guest.Emulating;

/// <summary>
/// The bottom of the emulating stack: one port of the emulated controller. It has one command list and so one driver at a
/// time, which all stacks on the disk share. While it has no driver, requests go to <see cref="Detour"/>'s target, or are
/// held until there is one. Any thread.
/// </summary>
internal sealed class EmulatedPort : IPortDriver, IBatchSubmitter
{
    private readonly Lock _lock = new();
    private DiskGeometry _geometry;
    private AhciPortDriver? _driver;
    private AhciPortDriver? _interrupted;
    private IBlockDriver? _detour;
    private BlockRequestList _held;
    private bool _isExchanging;
    private int _submitting, _handling;

    /// <param name="geometry">The disk's geometry until a driver has identified it.</param>
    /// <param name="machine">Reaches the registers.</param>
    internal EmulatedPort(DiskGeometry geometry, IMmio machine)
    {
        _geometry = geometry;
        Registers = new RegisterPath(machine, HandleInterrupt);
    }

    public DiskGeometry Geometry => Ordered.Load(ref _geometry);

    /// <summary>The registers as port drivers reach them.</summary>
    internal RegisterPath Registers { get; }

    /// <summary>Measured latencies of commands, by whichever driver executed them.</summary>
    internal TrapCosts Costs { get; } = new();

    /// <summary>Whether the port has a driver.</summary>
    internal bool IsDriven => Ordered.Load(ref _interrupted) is not null;

    /// <summary>Gives the port a driver, which the port disposes of in <see cref="Release"/>.</summary>
    /// <exception cref="InvalidOperationException">The port has a driver.</exception>
    internal void Drive(AhciPortDriver driver)
    {
        lock (_lock)
        {
            if (_driver is not null) throw new InvalidOperationException("the port has a driver already; release the port first");
            Ordered.Store(ref _geometry, driver.Geometry);
            Interlocked.Exchange(ref _interrupted, driver);
            Interlocked.Exchange(ref _driver, driver);
        }
        SubmitHeld();
    }

    /// <summary>Waits for the requests in flight and disposes of the driver. Not from a completion's thread.</summary>
    internal void Release()
    {
        if (StopSubmitting() is not { } driver) return;
        // Until the driver is idle it needs the interrupt.
        SpinWait.SpinUntil(() => driver.IsIdle);
        Interlocked.Exchange(ref _interrupted, null);
        Await(ref _handling);
        driver.Dispose();
    }

    /// <summary>
    /// Exchanges the layer between the port's driver and its registers while no command is in flight: later requests are
    /// held meanwhile, so none is lost, repeated or failed. Not from a completion's thread, nor during <see cref="Drive"/>
    /// or <see cref="Release"/>.
    /// </summary>
    /// <param name="layer">The layer to put in; null for none.</param>
    internal void Exchange(IRegisterLayer? layer)
    {
        lock (_lock) _isExchanging = true;
        var driver = StopSubmitting();
        try
        {
            if (driver is not null) SpinWait.SpinUntil(() => driver.IsIdle);
            Registers.Layer?.Retire();
            // The interrupt handler may still run for an interrupt of a completed command, but not inside the driver's lock.
            if (driver is null) Put();
            else driver.Exclude(Put);
            // The handler runs on one thread at a time; the new layer may call it from threads of its own.
            Registers.AwaitHandlers();
        }
        finally
        {
            lock (_lock)
            {
                _isExchanging = false;
                Interlocked.Exchange(ref _driver, driver);
            }
        }
        SubmitHeld();

        void Put()
        {
            layer?.Adopt();
            Registers.Exchange(layer);
        }
    }

    /// <summary>Sets where requests go while the port has no driver; null: they are held.</summary>
    internal void Detour(IBlockDriver? to)
    {
        lock (_lock) _detour = to;
        SubmitHeld();
    }

    public void Submit(BlockRequest request)
    {
        if (BatchSubmission.TryKeep(this, request)) return;
        // Counted before the driver is loaded: StopSubmitting then misses no thread that uses it.
        Interlocked.Increment(ref _submitting);
        var driver = Ordered.Load(ref _driver);
        if (driver is not null) driver.Submit(request);
        Interlocked.Decrement(ref _submitting);
        if (driver is null) Hold(request);
    }

    public void TakeKept(BlockRequest newest, BlockRequest oldest)
    {
        var request = BlockRequestList.Reverse(newest);
        Interlocked.Increment(ref _submitting);
        var driver = Ordered.Load(ref _driver);
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

    /// <summary>The driver's interrupt handler, for the register path and for a layer in it.</summary>
    internal void HandleInterrupt()
    {
        // Counted before the driver is loaded, as in Submit.
        Interlocked.Increment(ref _handling);
        try
        {
            Ordered.Load(ref _interrupted)?.HandleInterrupt();
        }
        finally
        {
            Interlocked.Decrement(ref _handling);
        }
    }

    /// <summary>From here on requests are held. Returns when no thread submits to the driver any more.</summary>
    /// <returns>The driver, which may have requests in flight; null when there was none.</returns>
    private AhciPortDriver? StopSubmitting()
    {
        AhciPortDriver? driver;
        lock (_lock) driver = Interlocked.Exchange(ref _driver, null);
        if (driver is not null) Await(ref _submitting);
        return driver;
    }

    private void Hold(BlockRequest request)
    {
        bool hasTarget;
        lock (_lock)
        {
            _held.Add(request);
            // The port may have a driver by now.
            hasTarget = Target is not null;
        }
        // On another thread: a detour whose bus is just being lost submits the request here again.
        if (hasTarget) ThreadPool.UnsafeQueueUserWorkItem(static port => port.SubmitHeld(), this, preferLocal: false);
    }

    private void SubmitHeld()
    {
        IBlockDriver? target;
        BlockRequestList held;
        lock (_lock)
        {
            target = Target;
            if (target is null) return;
            (held, _held) = (_held, default);
        }
        while (held.TakeFirst() is { } request) target.Submit(request);
    }

    // Where held requests go. Under the lock.
    private IBlockDriver? Target => _isExchanging ? null : _driver is not null ? this : _detour;

    private static void Await(ref int threads)
    {
        var wait = new SpinWait();
        while (Ordered.Load(ref threads) != 0) wait.SpinOnce();
    }
}
