using System.Collections.Concurrent;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Enlightened;
using VmShunt.Guest.Mode;
using VmShunt.Ring.Interop;

namespace VmShunt.Guest.Devices;

/// <summary>What an operator may do to a guest's stacks beside changing the mode. One thread, and <see cref="Settle"/> on another.</summary>
/// <param name="mode">The mode.</param>
/// <param name="first">The disk that both stacks are on.</param>
/// <param name="devices">Where other disks are found.</param>
/// <param name="busOf">The bus of the disk with a number.</param>
/// <param name="openChannel">Opens a channel on a bus; is given whom to tell when it is lost.</param>
/// <param name="busLost">Told, on a queue's thread, that <see cref="Settle"/> has something to do.</param>
internal sealed class StackControl(
    ModeControl mode,
    EmulatedDisk first,
    DeviceTree devices,
    Func<ulong, HypervisorBus> busOf,
    Func<UnixConnection, Action<string>, BusChannel> openChannel,
    Action busLost)
    : IDisposable
{
    /// <summary>The reverse shunt that does nothing.</summary>
    internal const string Inert = "inert";

    /// <summary>The reverse shunt that diverts to port driver-em.</summary>
    internal const string Emulating = "emulating";

    private readonly ConcurrentDictionary<string, OtherDisk> _others = new();

    /// <summary>Where the reverse shunt diverts to.</summary>
    internal string ReverseShunt { get; private set; } = Inert;

    /// <summary>Requests that the reverse shunt has diverted.</summary>
    internal long ReverseShunted => mode.Enlightened?.Shunt.Diverted ?? 0;

    /// <summary>Has the reverse shunt do nothing, divert to the emulating stack, or to another disk.</summary>
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

    /// <summary>Takes the emulating stack away.</summary>
    /// <exception cref="InvalidOperationException">It is needed.</exception>
    internal void RemoveEmulating() => mode.RemoveEmulating();

    /// <summary>Says whether the shunt hides the emulated disk while the enlightened stack is there.</summary>
    internal void Suppress(bool isSuppressing) => first.Visibility.Suppress(isSuppressing);

    /// <summary>Follows the buses of other disks.</summary>
    /// <returns>False when one is offered and did not come up: later it may.</returns>
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
