using System.Numerics;
using VmShunt.Trap.VmExit;

namespace VmShunt.PhysicalMachine;

/// <summary>
/// Brings the lines of the slots to processors that sleep. A line is a level, as INTx is: as long as its cause stands it
/// wakes whoever halts, so no interrupt is lost, and one that was handled meanwhile wakes nobody. Any thread.
/// </summary>
internal sealed class InterruptController
{
    private readonly object _lock = new();
    private uint _asserted;

    /// <summary>Raises or lowers the line of a slot.</summary>
    internal void SetLine(int slot, bool asserted)
    {
        lock (_lock)
        {
            _asserted = asserted ? _asserted | 1u << slot : _asserted & ~(1u << slot);
            if (asserted) Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Waits until a line is asserted.</summary>
    /// <returns>The vector of the first.</returns>
    internal int Wait()
    {
        lock (_lock)
        {
            while (_asserted == 0) Monitor.Wait(_lock);
            return GuestLayout.FirstVector + BitOperations.TrailingZeroCount(_asserted);
        }
    }
}
