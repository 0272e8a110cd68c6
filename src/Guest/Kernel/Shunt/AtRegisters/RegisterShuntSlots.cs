using System.Numerics;
using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Shunt.AtRegisters;

/// <summary>
/// The 32 command slots as the driver sees them in PxCI, and where the command of each is: waiting, on the ring path, or
/// with the controller. Called under the shunt's lock.
/// </summary>
/// <remarks>
/// A port without native command queuing executes commands one by one, in the order of issue. Here they run in parallel, so
/// each waits for earlier commands where the order is visible: a flush for writes, a read or write for one that touches the
/// same sectors, and a command that the shunt does not know for all others, as all others for it.
/// </remarks>
internal sealed class RegisterShuntSlots
{
    private const int Count = 32;

    private readonly RegisterShuntCommand[] _commands = new RegisterShuntCommand[Count];
    private readonly uint[] _waitsFor = new uint[Count];
    private uint _waiting, _unknown;

    /// <param name="completed">Called when all requests of a command have completed.</param>
    internal RegisterShuntSlots(Action<RegisterShuntCommand> completed)
    {
        for (var i = 0; i < Count; i++) _commands[i] = new RegisterShuntCommand(i, completed);
    }

    internal RegisterShuntCommand this[int slot] => _commands[slot];

    /// <summary>PxCI: issued and not completed.</summary>
    internal uint Issued { get; private set; }

    /// <summary>Commands issued to the controller.</summary>
    internal uint Below { get; private set; }

    /// <summary>Whether a command waits for one that the controller has.</summary>
    internal bool WaitsForBelow
    {
        get
        {
            if (Below == 0) return false;
            for (var waiting = _waiting; waiting != 0; waiting &= waiting - 1)
            {
                if ((_waitsFor[BitOperations.TrailingZeroCount(waiting)] & Below) != 0) return true;
            }
            return false;
        }
    }

    /// <summary>Aborted commands with requests still in flight on the ring path.</summary>
    internal int Abandoned { get; private set; }

    /// <summary>The link was reset with commands in flight: none starts until ST is cleared.</summary>
    internal bool IsHalted { get; private set; }

    /// <summary>Whether a command is on the ring path. A waiting one does not count: the controller's BSY covers what it waits for.</summary>
    internal bool IsBusy => (Issued & ~Below & ~_waiting) != 0 && !IsHalted;

    /// <summary>Completions of requests that were complete already.</summary>
    internal int Repeated => _commands.Sum(static command => command.Repeated);

    /// <summary>Whether slots can be filled: none has requests of an aborted command.</summary>
    internal bool CanFill => Abandoned == 0;

    /// <summary>Adopts commands that the controller has, of which the shunt knows nothing.</summary>
    internal void Adopt(uint running)
    {
        Issued = Below = running;
        _unknown |= running;
    }

    /// <summary>Adds a command that the driver issues; it waits until <see cref="TakeReady"/> returns it.</summary>
    /// <param name="slot">The slot, which is not issued yet.</param>
    /// <param name="isKnown">Whether the command was read: it may take the ring path.</param>
    internal void Add(int slot, bool isKnown)
    {
        var bit = 1u << slot;
        _unknown = isKnown ? _unknown & ~bit : _unknown | bit;
        // The controller executes its own commands in order.
        uint waitsFor = 0;
        for (var older = isKnown ? Issued : Issued & ~Below; older != 0; older &= older - 1)
        {
            var other = BitOperations.TrailingZeroCount(older);
            // Issued to the controller together with this one.
            if (!isKnown && GoesDownNow(other)) continue;
            if (!isKnown || (_unknown >> other & 1) != 0 || MustFollow(_commands[slot], _commands[other])) waitsFor |= 1u << other;
        }
        _waitsFor[slot] = waitsFor;
        _waiting |= bit;
        Issued |= bit;
    }

    /// <summary>Removes the commands that need not wait any longer.</summary>
    /// <param name="target">The present diversion; a command read for another one goes to the controller.</param>
    /// <returns>The slots to issue to the controller, and those to submit on the ring path.</returns>
    internal (uint Down, uint Ring) TakeReady(IBlockDriver? target)
    {
        if (_waiting == 0 || IsHalted || Abandoned > 0) return (0, 0);
        uint down = 0, ring = 0;
        for (var waiting = _waiting; waiting != 0; waiting &= waiting - 1)
        {
            var slot = BitOperations.TrailingZeroCount(waiting);
            if (_waitsFor[slot] != 0) continue;
            if ((_unknown >> slot & 1) == 0 && _commands[slot].Target == target) ring |= 1u << slot;
            else down |= 1u << slot;
        }
        _waiting &= ~(down | ring);
        return (down, ring);
    }

    internal void MarkBelow(uint slots) => Below |= slots;

    internal void Complete(uint slots)
    {
        if (slots == 0) return;
        Issued &= ~slots;
        Below &= ~slots;
        for (var waiting = _waiting; waiting != 0; waiting &= waiting - 1) _waitsFor[BitOperations.TrailingZeroCount(waiting)] &= ~slots;
    }

    /// <summary>ST was cleared or the HBA reset: PxCI is 0.</summary>
    internal void Stop()
    {
        AbandonRunning();
        Issued = Below = 0;
        IsHalted = false;
    }

    /// <summary>The link was reset: commands are aborted but stay in PxCI.</summary>
    internal void Halt()
    {
        AbandonRunning();
        IsHalted |= Issued != 0;
    }

    internal void ForgetAbandoned(RegisterShuntCommand command)
    {
        command.IsAbandoned = false;
        Abandoned--;
    }

    private bool GoesDownNow(int slot) => (_unknown & _waiting & 1u << slot) != 0 && _waitsFor[slot] == 0;

    private void AbandonRunning()
    {
        for (var running = IsHalted ? 0 : Issued & ~Below & ~_waiting; running != 0; running &= running - 1)
        {
            _commands[BitOperations.TrailingZeroCount(running)].IsAbandoned = true;
            Abandoned++;
        }
        _waiting = 0;
    }

    private static bool MustFollow(RegisterShuntCommand command, RegisterShuntCommand older)
    {
        if (command.Operation == BlockOperation.Discard || older.Operation == BlockOperation.Discard) return true;
        if (command.Operation == BlockOperation.Flush) return older.Operation == BlockOperation.Write;
        if (older.Operation == BlockOperation.Flush) return false;
        if (command.Operation == BlockOperation.Read && older.Operation == BlockOperation.Read) return false;
        return command.Extent.Overlaps(older.Extent);
    }
}
