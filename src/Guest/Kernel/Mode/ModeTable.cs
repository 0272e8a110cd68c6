using static VmShunt.Guest.Mode.ModeAction;
using State = VmShunt.Guest.Mode.ModeState;

namespace VmShunt.Guest.Mode;

/// <summary>The transitions of mode control, one row per state and one column per event.</summary>
internal static class ModeTable
{
    private static readonly int s_events = Enum.GetValues<ModeEvent>().Length;

    private static readonly ModeTransition[] s_cells =
    [
        .. Row(State.Emulating,
            changeToEmulating: To(State.Emulating),
            changeToEnlightened: Entering(State.Enlightened, State.Emulating),
            changeToAlternate: Entering(State.Alternate, State.Emulating),
            wantEmulating: To(State.Emulating),
            wantEnlightened: To(State.AwaitingEnlightened),
            wantAlternate: To(State.AwaitingAlternate)),
        .. Row(State.AwaitingEnlightened,
            changeToEmulating: To(State.Emulating),
            changeToEnlightened: Entering(State.Enlightened, State.AwaitingEnlightened),
            changeToAlternate: Entering(State.Alternate, State.AwaitingEnlightened),
            wantEmulating: To(State.Emulating),
            wantEnlightened: To(State.AwaitingEnlightened),
            wantAlternate: To(State.AwaitingAlternate),
            offer: Entering(State.Enlightened, State.AwaitingEnlightened)),
        .. Row(State.AwaitingAlternate,
            changeToEmulating: To(State.Emulating),
            changeToEnlightened: Entering(State.Enlightened, State.AwaitingAlternate),
            changeToAlternate: Entering(State.Alternate, State.AwaitingAlternate),
            wantEmulating: To(State.Emulating),
            wantEnlightened: To(State.AwaitingEnlightened),
            wantAlternate: To(State.AwaitingAlternate),
            offer: Entering(State.Alternate, State.AwaitingAlternate)),
        .. Row(State.Enlightened,
            changeToEmulating: Leaving(State.Emulating),
            changeToEnlightened: To(State.Enlightened),
            changeToAlternate: Exchanging(State.Alternate, State.AwaitingEnlightened),
            wantEmulating: Leaving(State.Emulating),
            wantEnlightened: To(State.Enlightened),
            wantAlternate: Leaving(State.AwaitingAlternate),
            busLost: new(PassDown, State.EnlightenedLost, State.EnlightenedLost),
            configure: Exchanging(State.Enlightened, State.AwaitingEnlightened)),
        .. Row(State.Alternate,
            changeToEmulating: Leaving(State.Emulating),
            changeToEnlightened: Exchanging(State.Enlightened, State.AwaitingAlternate),
            changeToAlternate: To(State.Alternate),
            wantEmulating: Leaving(State.Emulating),
            wantEnlightened: Leaving(State.AwaitingEnlightened),
            wantAlternate: To(State.Alternate),
            busLost: new(PassDown, State.AlternateLost, State.AlternateLost),
            configure: Exchanging(State.Alternate, State.AwaitingAlternate)),
        .. Row(State.EnlightenedLost,
            changeToEmulating: Leaving(State.Emulating),
            changeToEnlightened: Exchanging(State.Enlightened, State.AwaitingEnlightened),
            changeToAlternate: Exchanging(State.Alternate, State.AwaitingEnlightened),
            wantEmulating: Leaving(State.Emulating),
            wantEnlightened: To(State.EnlightenedLost),
            wantAlternate: To(State.AlternateLost),
            settle: Leaving(State.AwaitingEnlightened),
            offer: Exchanging(State.Enlightened, State.AwaitingEnlightened),
            noOffer: Leaving(State.AwaitingEnlightened),
            configure: Leaving(State.AwaitingEnlightened)),
        .. Row(State.AlternateLost,
            changeToEmulating: Leaving(State.Emulating),
            changeToEnlightened: Exchanging(State.Enlightened, State.AwaitingAlternate),
            changeToAlternate: Exchanging(State.Alternate, State.AwaitingAlternate),
            wantEmulating: Leaving(State.Emulating),
            wantEnlightened: To(State.EnlightenedLost),
            wantAlternate: To(State.AlternateLost),
            settle: Leaving(State.AwaitingAlternate),
            offer: Exchanging(State.Alternate, State.AwaitingAlternate),
            noOffer: Leaving(State.AwaitingAlternate),
            configure: Leaving(State.AwaitingAlternate)),
        .. Row(State.Ended, To(State.Ended), To(State.Ended), To(State.Ended), To(State.Ended), To(State.Ended), To(State.Ended), end: To(State.Ended)),
    ];

    /// <summary>The transition of a state at an event.</summary>
    internal static ModeTransition Of(State state, ModeEvent e) => s_cells[(int)state * s_events + (int)e];

    /// <summary>Whether an offer of the bus changes the state.</summary>
    internal static bool AwaitsOffer(State state) => state is State.AwaitingEnlightened or State.AwaitingAlternate;

    /// <summary>Whether the enlightened mode is present or wanted.</summary>
    internal static bool WantsEnlightened(State state) => state is State.AwaitingEnlightened or State.Enlightened or State.EnlightenedLost;

    // Events that a row does not name leave the state as it is; the end always closes the channel.
    private static ModeTransition[] Row(
        State state,
        ModeTransition changeToEmulating,
        ModeTransition changeToEnlightened,
        ModeTransition changeToAlternate,
        ModeTransition wantEmulating,
        ModeTransition wantEnlightened,
        ModeTransition wantAlternate,
        ModeTransition? busLost = null,
        ModeTransition? settle = null,
        ModeTransition? offer = null,
        ModeTransition? noOffer = null,
        ModeTransition? configure = null,
        ModeTransition? end = null)
    {
        var same = To(state);
        return
        [
            changeToEmulating, changeToEnlightened, changeToAlternate, wantEmulating, wantEnlightened, wantAlternate,
            busLost ?? same, settle ?? same, offer ?? same, noOffer ?? same, configure ?? same, end ?? Leaving(State.Ended),
        ];
    }

    private static ModeTransition To(State next) => new(None, next, next);

    private static ModeTransition Leaving(State next) => new(Leave, next, next);

    private static ModeTransition Entering(State next, State ifNot) => new(Enter, next, ifNot);

    private static ModeTransition Exchanging(State next, State ifNot) => new(Leave | Enter, next, ifNot);
}
