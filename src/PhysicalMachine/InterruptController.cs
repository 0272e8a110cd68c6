using System.Numerics;
using VmShunt.Trap.VmExit;

namespace VmShunt.PhysicalMachine;

/// <summary>
/// Wakes halted processors when the interrupt line of a slot is asserted. Lines are level-triggered, as INTx: an asserted
/// line ends every halt until the device lowers it, so no interrupt is lost. Any thread.
/// </summary>
internal sealed class InterruptController
{
    private readonly object _lock = new();
    private uint _asserted;

    /// <summary>Asserts or lowers the line of a slot.</summary>
    internal void SetLine(int slot, bool asserted)
    {
        lock (_lock)
        {
            _asserted = asserted ? _asserted | 1u << slot : _asserted & ~(1u << slot);
            if (asserted) Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Waits until a line is asserted.</summary>
    /// <returns>The vector of the lowest asserted line.</returns>
    internal int Wait()
    {
        lock (_lock)
        {
            while (_asserted == 0) Monitor.Wait(_lock);
            return GuestLayout.FirstVector + BitOperations.TrailingZeroCount(_asserted);
        }
    }
}
