using System.Diagnostics;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Notification;

/// <summary>
/// Notices that a spinning thread shares its core with the peer that it waits for, and parts them. The sign: giving the
/// core up for a moment lets somebody else run, again and again. Only one side of a ring should use it, or both jump.
/// One thread.
/// </summary>
public struct CoreContention
{
    private const int SignsNeeded = 32;

    private const int HelpedAfterPauses = 4;

    private static readonly long s_someoneRan = Stopwatch.Frequency / 500_000;
    private static readonly long s_firstPause = Stopwatch.Frequency / 100;
    private static readonly long s_longestPause = Stopwatch.Frequency;

    private int _signs;
    private long _notBefore;
    private long _pause;

    /// <summary>Notes how long the thread was away when it gave its core up, and moves it when that happens too often.</summary>
    /// <param name="before">The <see cref="Stopwatch"/> reading before.</param>
    /// <param name="after">The reading after.</param>
    public void NoteYield(long before, long after)
    {
        _signs = after - before > s_someoneRan ? _signs + 1 : 0;
        if (_signs < SignsNeeded || after < _notBefore) return;
        _signs = 0;
        // Where every core is busy, moving does not help: ask less and less often. Where it helped for long, this is a new case.
        var helped = after - _notBefore > HelpedAfterPauses * _pause;
        _pause = helped ? s_firstPause : Math.Min(_pause * 2, s_longestPause);
        _notBefore = after + _pause;
        ThreadAffinity.TryLeaveCore();
    }
}
