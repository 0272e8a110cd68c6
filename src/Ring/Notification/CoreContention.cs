using System.Diagnostics;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Notification;

/// <summary>
/// Detects that a spinning thread shares its core with the peer that it waits for, and moves the thread to another core.
/// The signs are that yields let another thread run, many times in a row, and that work which a spin did not find comes
/// as soon as the thread blocks. Only one side of a ring should use it; otherwise both move. Used by one thread.
/// </summary>
public struct CoreContention
{
    private const int SignsNeeded = 32, SignsOfEmptySpin = 8;

    private const int HelpedAfterPauses = 4;

    private static readonly long s_atOnce = Stopwatch.Frequency / 20_000;
    private static readonly long s_otherRan = Stopwatch.Frequency / 500_000;
    private static readonly long s_firstPause = Stopwatch.Frequency / 100;
    private static readonly long s_longestPause = Stopwatch.Frequency;

    private int _signs;
    private long _notBefore;
    private long _pause;

    /// <summary>Records how long a yield took, and moves the thread when another one ran in too many yields in a row.</summary>
    /// <param name="before">The <see cref="Stopwatch"/> reading before the yield.</param>
    /// <param name="after">The reading after it.</param>
    public void NoteYield(long before, long after) => Note(after - before > s_otherRan ? 1 : 0, after);

    /// <summary>Records when work came that a spin had not found, and moves the thread when it came at once too many times in a row.</summary>
    /// <param name="blocked">The <see cref="Stopwatch"/> reading when the thread gave up spinning to block.</param>
    /// <param name="woken">The reading when it had work.</param>
    public void NoteEmptySpin(long blocked, long woken) => Note(woken - blocked < s_atOnce ? SignsOfEmptySpin : 0, woken);

    private void Note(int signs, long after)
    {
        _signs = signs > 0 ? _signs + signs : 0;
        if (_signs < SignsNeeded || after < _notBefore) return;
        _signs = 0;
        // When all cores are busy, moving does not help, so the pause doubles. After a long quiet time it starts again.
        var helped = after - _notBefore > HelpedAfterPauses * _pause;
        _pause = helped ? s_firstPause : Math.Min(_pause * 2, s_longestPause);
        _notBefore = after + _pause;
        ThreadAffinity.TryLeaveCore();
    }
}
