using VmShunt.Ring.Interop;

namespace VmShunt.Trap.VfioUser;

/// <summary>
/// A device's interrupt on its way to the client's eventfds. Any thread; nothing is allocated.
/// </summary>
/// <remarks>
/// No cause is ever lost. As a message (MSI) every new cause fires, also while earlier ones are pending, so a cause
/// that arrives inside the guest's interrupt routine brings it back. As a pin (INTx) it fires once and masks itself;
/// on UNMASK it fires again while the level is still asserted. A client that sets a MSI eventfd gets messages.
/// </remarks>
public sealed class VfioInterrupt : IDisposable
{
    private readonly Lock _lock = new();
    private readonly EventFd?[] _events = new EventFd?[VfioPciIrq.Count];
    private bool _asserted, _pinMasked, _pinDisabled;

    /// <summary>A cause has arrived: the level is asserted from now on.</summary>
    public void Raise()
    {
        lock (_lock)
        {
            _asserted = true;
            Fire();
        }
    }

    /// <summary>The guest has taken every cause back: the level is no longer asserted.</summary>
    public void Lower()
    {
        lock (_lock) _asserted = false;
    }

    /// <summary>Whether the device may use the pin at all (PCI: Interrupt Disable is clear).</summary>
    public void EnablePin(bool enabled)
    {
        lock (_lock)
        {
            if (_pinDisabled != enabled) return;
            _pinDisabled = !enabled;
            if (enabled && _asserted && _events[VfioPciIrq.Msi] is null) Fire();
        }
    }

    /// <summary>Sets or removes the eventfd of an interrupt; takes ownership of it.</summary>
    internal void SetEvent(int index, EventFd? target)
    {
        lock (_lock)
        {
            _events[index]?.Dispose();
            _events[index] = target;
            if (index == VfioPciIrq.Intx) _pinMasked = false;
            if (_asserted && target is not null && index is VfioPciIrq.Intx or VfioPciIrq.Msi) Fire();
        }
    }

    /// <summary>Signals an interrupt because the client asks for it.</summary>
    internal void Trigger(int index)
    {
        lock (_lock) _events[index]?.Signal();
    }

    internal void Mask(int index)
    {
        lock (_lock)
        {
            if (index == VfioPciIrq.Intx) _pinMasked = true;
        }
    }

    internal void Unmask(int index)
    {
        lock (_lock)
        {
            if (index != VfioPciIrq.Intx) return;
            _pinMasked = false;
            if (_asserted) Fire();
        }
    }

    /// <summary>Closes the eventfds; causes that arrive later go nowhere.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            foreach (var target in _events) target?.Dispose();
            Array.Clear(_events);
        }
    }

    private void Fire()
    {
        if (_events[VfioPciIrq.Msi] is { } message)
        {
            message.Signal();
        }
        else if (!_pinMasked && !_pinDisabled && _events[VfioPciIrq.Intx] is { } pin)
        {
            _pinMasked = true;
            pin.Signal();
        }
    }
}
