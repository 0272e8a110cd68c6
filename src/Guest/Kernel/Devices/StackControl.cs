using System.Collections.Concurrent;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Enlightened;
using VmShunt.Guest.Mode;
using VmShunt.Ring.Interop;

namespace VmShunt.Guest.Devices;

/// <summary>Changes a guest's stacks: reverse shunt, removal, visibility. One thread, and <see cref="Settle"/> on another.</summary>
/// <param name="mode">Mode control.</param>
/// <param name="first">The disk that both stacks are on.</param>
/// <param name="devices">Finds other disks.</param>
/// <param name="busOf">Returns the bus of the disk with a number.</param>
/// <param name="openChannel">Opens a channel on a bus; its callback runs on a queue's thread when the channel is lost.</param>
/// <param name="busLost">Called on a queue's thread: <see cref="Settle"/> is to be called.</param>
internal sealed class StackControl(
    ModeControl mode,
    EmulatedDisk first,
    DeviceTree devices,
    Func<ulong, HypervisorBus> busOf,
    Func<UnixConnection, Action<string>, BusChannel> openChannel,
    Action busLost)
    : IDisposable
{
    /// <summary>The target name for a reverse shunt that diverts nothing.</summary>
    internal const string Inert = "inert";

    /// <summary>The target name for the port driver (emulating).</summary>
    internal const string Emulating = "emulating";

    private readonly ConcurrentDictionary<string, OtherDisk> _others = new();

    /// <summary>The target of the reverse shunt.</summary>
    internal string ReverseShunt { get; private set; } = Inert;

    /// <summary>Requests that the reverse shunt has diverted.</summary>
    internal long ReverseShunted => mode.Enlightened?.Shunt.Diverted ?? 0;

    /// <summary>Makes the reverse shunt inert, or diverts it to the emulating stack or another disk.</summary>
    /// <exception cref="InvalidOperationException">There is no enlightened stack, or no emulating one.</exception>
    /// <exception cref="IOException">There is no such disk, or its bus does not open.</exception>
    internal void SetReverseShunt(string target)
    {
        if (target == Emulating && first.IsRemoved) throw new InvalidOperationException("the emulating stack was removed; there is nothing to divert to");
        var other = target is Inert or Emulating ? null : Other(target);
        mode.WithReverseShunt(shunt =>
        {
            if (other is not null) shunt.Divert(other.Port);
            else if (target == Emulating) shunt.Divert(first.Port);
            else shunt.BeInert();
        });
        ReverseShunt = target;
    }

    /// <summary>Removes the emulating stack.</summary>
    /// <exception cref="InvalidOperationException">The stack is needed.</exception>
    internal void RemoveEmulating() => mode.RemoveEmulating();

    /// <summary>Sets whether the shunt hides the emulated disk in enlightened mode.</summary>
    internal void Suppress(bool isSuppressing) => first.Visibility.Suppress(isSuppressing);

    /// <summary>Follows the buses of other disks.</summary>
    /// <returns>False when one is offered but does not open: a retry may succeed.</returns>
    internal bool Settle() => _others.Values.Aggregate(true, static (settled, other) => other.Settle() && settled);

    public void Dispose()
    {
        foreach (var other in _others.Values) other.Dispose();
    }

    private OtherDisk Other(string name)
    {
        if (_others.TryGetValue(name, out var known)) return known;
        var disk = devices.OtherDisk(name);
        return _others[name] = new OtherDisk(disk, busOf((ulong)(disk.Hba.Device - 1)), openChannel, busLost);
    }
}
