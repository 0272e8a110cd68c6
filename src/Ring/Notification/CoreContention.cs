using System.Diagnostics;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Notification;

/// <summary>
/// Detects that a spinning thread shares its core with the peer that it waits for, and moves the thread to another core.
/// The sign is that yields let another thread run, many times in a row. Only one side of a ring should use it; otherwise
/// both move. Used by one thread.
/// </summary>
public struct CoreContention
{
    private const int SignsNeeded = 32;

    private const int HelpedAfterPauses = 4;

    private static readonly long s_otherRan = Stopwatch.Frequency / 500_000;
    private static readonly long s_firstPause = Stopwatch.Frequency / 100;
    private static readonly long s_longestPause = Stopwatch.Frequency;

    private int _signs;
    private long _notBefore;
    private long _pause;

    /// <summary>Records how long a yield took, and moves the thread when another one ran in too many yields in a row.</summary>
    /// <param name="before">The <see cref="Stopwatch"/> reading before the yield.</param>
    /// <param name="after">The reading after it.</param>
    public void NoteYield(long before, long after)
    {
        _signs = after - before > s_otherRan ? _signs + 1 : 0;
        if (_signs < SignsNeeded || after < _notBefore) return;
        _signs = 0;
        // When all cores are busy, moving does not help, so the pause doubles. After a long quiet time it starts again.
        var helped = after - _notBefore > HelpedAfterPauses * _pause;
        _pause = helped ? s_firstPause : Math.Min(_pause * 2, s_longestPause);
        _notBefore = after + _pause;
        ThreadAffinity.TryLeaveCore();
    }
}
