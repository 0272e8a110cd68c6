using VmShunt.Ring.Interop;

namespace VmShunt.Trap.VfioUser;

/// <summary>
/// Delivers a device's interrupt to the client's eventfds. Any thread; allocates nothing.
/// </summary>
/// <remarks>
/// No cause is lost. MSI signals every new cause, also while earlier ones are pending, so a cause that arrives during the
/// guest's interrupt handler runs the handler again. INTx signals once and masks itself; UNMASK signals again if the level
/// is still asserted (AUTOMASKED, "VFIO_USER_DEVICE_GET_IRQ_INFO"). MSI is used while the client has set its eventfd.
/// </remarks>
public sealed class VfioInterrupt : IDisposable
{
    private readonly Lock _lock = new();
    private readonly EventFd?[] _events = new EventFd?[VfioPciIrq.Count];
    private bool _asserted, _pinMasked, _pinDisabled;

    /// <summary>Asserts the level for a new cause.</summary>
    public void Raise()
    {
        lock (_lock)
        {
            _asserted = true;
            Signal();
        }
    }

    /// <summary>Lowers the level: the guest has cleared every cause.</summary>
    public void Lower()
    {
        lock (_lock) _asserted = false;
    }

    /// <summary>Sets whether the device may use INTx (PCI 3.0 §6.2.2: Interrupt Disable is clear).</summary>
    public void EnablePin(bool enabled)
    {
        lock (_lock)
        {
            if (_pinDisabled != enabled) return;
            _pinDisabled = !enabled;
            if (enabled && _asserted && _events[VfioPciIrq.Msi] is null) Signal();
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
            if (_asserted && target is not null && index is VfioPciIrq.Intx or VfioPciIrq.Msi) Signal();
        }
    }

    /// <summary>Signals an interrupt on the client's request ("VFIO_USER_DEVICE_SET_IRQS").</summary>
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
            if (_asserted) Signal();
        }
    }

    /// <summary>Closes the eventfds; later causes are dropped.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            foreach (var target in _events) target?.Dispose();
            Array.Clear(_events);
        }
    }

    private void Signal()
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
