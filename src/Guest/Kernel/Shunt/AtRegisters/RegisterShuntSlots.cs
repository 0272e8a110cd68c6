using System.Numerics;
using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Shunt.AtRegisters;

/// <summary>
/// The 32 command slots as the driver sees them in PxCI, and where the command of each is: waiting, on the enlightened
/// road, or below with the controller. Every member is called under the shunt's lock.
/// </summary>
/// <remarks>
/// A port without native command queuing does one command after another, in the order of issue. Here commands run side by
/// side, so each waits for those before it that it could tell apart: a flush for writes, a read or write for one that
/// touches the same sectors, and what the shunt does not know for everything, as everything for it.
/// </remarks>
internal sealed class RegisterShuntSlots
{
    private const int Count = 32;

    private readonly RegisterShuntCommand[] _commands = new RegisterShuntCommand[Count];
    private readonly uint[] _waitsFor = new uint[Count];
    private uint _waiting, _unknown;

    /// <param name="ended">Told when all requests of a command have ended.</param>
    internal RegisterShuntSlots(Action<RegisterShuntCommand> ended)
    {
        for (var i = 0; i < Count; i++) _commands[i] = new RegisterShuntCommand(i, ended);
    }

    internal RegisterShuntCommand this[int slot] => _commands[slot];

    /// <summary>PxCI: issued and not over.</summary>
    internal uint Issued { get; private set; }

    /// <summary>Those that the controller has.</summary>
    internal uint Below { get; private set; }

    /// <summary>Commands whose requests are still on the road and of which nothing will be seen.</summary>
    internal int Abandoned { get; private set; }

    /// <summary>The link was reset under commands: nothing starts until ST is cleared.</summary>
    internal bool IsHalted { get; private set; }

    /// <summary>Whether a command is on the road. One that waits is busy with what it waits for: a port that has stopped at an error is not.</summary>
    internal bool IsBusy => (Issued & ~Below & ~_waiting) != 0 && !IsHalted;

    /// <summary>Completions of requests that were complete already.</summary>
    internal int Repeated => _commands.Sum(static command => command.Repeated);

    /// <summary>Whether slots can be filled: none has requests of an abandoned command.</summary>
    internal bool CanFill => Abandoned == 0;

    /// <summary>Adds a command that was just issued; it waits until <see cref="TakeReady"/> lets it go.</summary>
    /// <param name="slot">The slot, which is not issued yet.</param>
    /// <param name="isKnown">Whether its command was filled: it may take the enlightened road.</param>
    internal void Add(int slot, bool isKnown)
    {
        var bit = 1u << slot;
        _unknown = isKnown ? _unknown & ~bit : _unknown | bit;
        // The controller keeps its own commands in order.
        uint waitsFor = 0;
        for (var older = isKnown ? Issued : Issued & ~Below; older != 0; older &= older - 1)
        {
            var other = BitOperations.TrailingZeroCount(older);
            // Those that go to the controller with this one, at once.
            if (!isKnown && GoesDownNow(other)) continue;
            if (!isKnown || (_unknown >> other & 1) != 0 || MustFollow(_commands[slot], _commands[other])) waitsFor |= 1u << other;
        }
        _waitsFor[slot] = waitsFor;
        _waiting |= bit;
        Issued |= bit;
    }

    /// <summary>Takes the commands that need not wait any longer.</summary>
    /// <param name="target">The enlightened road now; a command that was meant for another goes to the controller.</param>
    /// <returns>The slots to give to the controller, and those to submit.</returns>
    internal (uint Down, uint RequestPath) TakeReady(IBlockDriver? target)
    {
        if (_waiting == 0 || IsHalted || Abandoned > 0) return (0, 0);
        uint down = 0, road = 0;
        for (var waiting = _waiting; waiting != 0; waiting &= waiting - 1)
        {
            var slot = BitOperations.TrailingZeroCount(waiting);
            if (_waitsFor[slot] != 0) continue;
            if ((_unknown >> slot & 1) == 0 && _commands[slot].Target == target) road |= 1u << slot;
            else down |= 1u << slot;
        }
        _waiting &= ~(down | road);
        return (down, road);
    }

    internal void MarkBelow(uint slots) => Below |= slots;

    /// <summary>Commands are over.</summary>
    internal void End(uint slots)
    {
        if (slots == 0) return;
        Issued &= ~slots;
        Below &= ~slots;
        for (var waiting = _waiting; waiting != 0; waiting &= waiting - 1) _waitsFor[BitOperations.TrailingZeroCount(waiting)] &= ~slots;
    }

    /// <summary>ST was cleared, or the HBA reset: no command is issued any more.</summary>
    internal void Stop()
    {
        AbandonRunning();
        Issued = Below = 0;
        IsHalted = false;
    }

    /// <summary>The link was reset: no command goes on, but all stay issued.</summary>
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
