using static VmShunt.BlockBackend.Transition.PairState;

namespace VmShunt.BlockBackend.Transition;

/// <summary>The states of a guest's transition × what happens: see docs/transition.md, which has the same table.</summary>
internal static class TransitionTable
{
    private const PairState Same = (PairState)(-1);

    // The columns are those of PairEvent.
    private static readonly PairState[][] s_next =
    [
        //                  Enumeration  AfterPolling AfterProbe    AfterUse      Continue      Alive       AliveAfterUse Reset          Close          Timeout   TrapWrite Unplugged    UnusedReset TurnOff
        /* Emulated */      [Same,       Unplugging,  Unplugging,   SharedByRing, Enumerated,   Same,       Same,         Same,          Same,          Same,     Written,  Same,        Same,       Off],
        /* Written */       [Emulated,   Unplugging,  SharedByTrap, SharedByTrap, Stopped,      Same,       Same,         Same,          Same,          Same,     Same,     Same,        Same,       Off],
        /* Returned */      [Emulated,   Unplugging,  Unplugging,   SharedByRing, Enumerated,   Same,       Same,         Same,          Same,          Same,     Written,  Same,        Resetting,  Off],
        /* Unplugging */    [Enumerated, Same,        Same,         Same,         Same,         Same,       Same,         Resetting,     Away,          Same,     Same,     Enlightened, Same,       Off],
        /* Enlightened */   [Enumerated, Same,        Same,         Same,         Same,         Same,       Same,         Resetting,     Away,          Same,     Same,     Same,        Same,       Off],
        /* Resetting */     [Emulated,   Unplugging,  Unplugging,   Unplugging,   Unplugging,   Same,       Same,         Same,          Same,          Returned, Same,     Same,        Same,       Off],
        /* Away */          [Enumerated, Unplugging,  Unplugging,   Unplugging,   Unplugging,   Same,       Same,         Resetting,     Same,          Returned, Same,     Same,        Same,       Off],
        /* SharedByRing */  [Enumerated, Same,        Same,         Same,         Same,         Same,       Same,         SharedLeaving, SharedLeaving, Same,     Same,     Same,        Same,       Off],
        /* SharedByTrap */  [Enumerated, Same,        Same,         Same,         Same,         Same,       Same,         Written,       Written,       Same,     Same,     Same,        Same,       Off],
        /* SharedLeaving */ [Enumerated, Unplugging,  Unplugging,   SharedByRing, SharedByRing, Same,       Same,         Same,          Same,          Emulated, Same,     Same,        Same,       Off],
        /* Enumerated */    [Same,       Unplugging,  Unplugging,   SharedByRing, Same,         Unplugging, SharedByRing, Emulated,      Same,          Emulated, Stopped,  Same,        Same,       Off],
        /* Stopped */       [Same,       SharedByTrap, SharedByTrap, SharedByTrap, Same,        Same,       Same,         Written,       Same,          Same,     Same,     Same,        Same,       Off],
        /* Off */           [Same,       Same,        Same,         Same,         Same,         Same,       Same,         Same,          Same,          Same,     Same,     Same,        Same,       Same],
    ];

    private static readonly PairConditions[] s_conditions =
    [
        new(HasTrapDisk: true, TrapWrites: false, RingOrder.Serve, "emulated"),
        new(HasTrapDisk: true, TrapWrites: true, RingOrder.Serve, "written"),
        new(HasTrapDisk: true, TrapWrites: false, RingOrder.Serve, "returned"),
        new(HasTrapDisk: false, TrapWrites: false, RingOrder.Hold, "unplugging"),
        new(HasTrapDisk: false, TrapWrites: false, RingOrder.Serve, "enlightened"),
        new(HasTrapDisk: false, TrapWrites: false, RingOrder.Serve, "resetting"),
        new(HasTrapDisk: false, TrapWrites: false, RingOrder.Serve, "away"),
        new(HasTrapDisk: true, TrapWrites: false, RingOrder.Serve, "shared, the ring writes"),
        new(HasTrapDisk: true, TrapWrites: true, RingOrder.RefuseWrites, "shared, the trap path writes"),
        new(HasTrapDisk: true, TrapWrites: false, RingOrder.Serve, "shared, resetting"),
        new(HasTrapDisk: true, TrapWrites: false, RingOrder.Watch, "enumerated"),
        new(HasTrapDisk: true, TrapWrites: true, RingOrder.Refuse, "ring stopped"),
        new(HasTrapDisk: true, TrapWrites: true, RingOrder.Serve, "off"),
    ];

    internal static PairState Next(PairState state, PairEvent what)
    {
        var next = s_next[(int)state][(int)what];
        return next == Same ? state : next;
    }

    internal static PairConditions Of(PairState state) => s_conditions[(int)state];
}
