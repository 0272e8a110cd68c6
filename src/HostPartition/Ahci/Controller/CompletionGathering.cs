using System.Diagnostics;

namespace VmShunt.AhciBackend.Controller;

/// <summary>What the worker does next.</summary>
internal enum GatheringStep
{
    /// <summary>Execute the next command, or wait for one.</summary>
    Run,

    /// <summary>Wait at most <see cref="CompletionGathering.Milliseconds"/> for <see cref="CompletionGathering.WakeAt"/> commands.</summary>
    WaitBriefly,

    /// <summary>Report the held commands.</summary>
    Report,
}

/// <summary>
/// How many queued commands are reported together. An interrupt costs Linux's driver five exits, of which three wait for an
/// answer, so a driver that keeps many commands in flight gets one for several of them. One that has a single command
/// in flight gets each at once. The goal grows while it is reached, and falls where commands stay away; each fall makes the
/// next growth rarer. How long commands are held depends on the pace at which the driver issues them: a guest that is
/// emulated takes a hundred times as long as one that runs. Worker thread, under the controller's lock.
/// </summary>
internal sealed class CompletionGathering
{
    /// <summary>The largest goal: half of the command slots, so that disk and driver both have work.</summary>
    internal const int Most = IssueQueue.Slots / 2;

    private const int FirstProof = 4, LargestProof = 4096;
    private const int WakesPerGoal = 4;
    private const int PaceWeight = 8, PatiencePaces = 4, MostMilliseconds = 10;

    // A disk that has had work for so long is the slower part: then the driver should not wait, too.
    private static readonly long s_busy = Stopwatch.Frequency / 5000, s_longest = Stopwatch.Frequency / 500, s_millisecond = Stopwatch.Frequency / 1000;

    private int _proofs, _needed = FirstProof;
    private long _heldSince, _busySince, _started, _pace;
    private bool _isGoalNew, _isLate;

    /// <summary>So many commands are gathered.</summary>
    internal int Goal { get; private set; } = 1;

    /// <summary>The length of a brief wait: commands are held for so long while the driver issues none.</summary>
    internal int Milliseconds => (int)Math.Clamp(PatiencePaces * _pace / s_millisecond + 1, 1, MostMilliseconds);

    /// <summary>
    /// How many commands end a brief wait: what completes the goal, or a quarter of it. A worker that woke for each would spend
    /// more on waking than on a command that the page cache answers.
    /// </summary>
    /// <param name="held">Commands that were executed and not reported.</param>
    internal int WakeAt(int held) => Math.Clamp(Goal - held, 1, Math.Max(1, Goal / WakesPerGoal));

    /// <summary>The next step.</summary>
    /// <param name="held">Commands that were executed and not reported.</param>
    /// <param name="hasWork">Whether an issued command is ready.</param>
    /// <param name="now">A timestamp of <see cref="Stopwatch"/>.</param>
    internal GatheringStep Next(int held, bool hasWork, long now)
    {
        if (!hasWork) _busySince = 0;
        else if (_busySince == 0) _busySince = now;
        if (held == 0) _heldSince = 0;
        else if (_heldSince == 0) _heldSince = now;
        if (hasWork && (held == 0 || now - _busySince < s_busy))
        {
            NotePace(now);
            return GatheringStep.Run;
        }
        if (held == 0) return GatheringStep.Run;
        if (hasWork) return GatheringStep.Report;
        _isLate = held < Goal && now - _heldSince >= Math.Max(s_longest, 2 * Goal * _pace);
        return held >= Goal || _isLate ? GatheringStep.Report : GatheringStep.WaitBriefly;
    }

    // Of commands that follow each other; a pause is none.
    private void NotePace(long now)
    {
        var gap = now - _started;
        if (gap < 2 * MostMilliseconds * s_millisecond) _pace += (gap - _pace) / PaceWeight;
        _started = now;
    }

    /// <summary>No command came while the held ones waited.</summary>
    internal void TimeOut() => _isLate = true;

    /// <summary>The held commands were reported.</summary>
    /// <param name="count">Their number.</param>
    /// <param name="overlapped">Whether the driver had more than one command in flight.</param>
    internal void Reported(int count, bool overlapped)
    {
        _heldSince = _busySince = 0;
        if (_isLate)
        {
            _isLate = _isGoalNew = false;
            Goal = Math.Clamp(count, 1, Most);
            _needed = Math.Min(LargestProof, _needed * 2);
            _proofs = 0;
            return;
        }
        if (count < Goal) return;
        if (_isGoalNew) _needed = Math.Max(FirstProof, _needed / 2);
        _isGoalNew = false;
        if (!overlapped || ++_proofs < _needed || Goal == Most) return;
        Goal = Math.Min(Most, Goal * 2);
        _isGoalNew = true;
        _proofs = 0;
    }
}
