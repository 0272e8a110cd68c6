using System.Diagnostics;

namespace VmShunt.AhciBackend.Controller;

/// <summary>What the worker does next.</summary>
internal enum GatheringStep
{
    /// <summary>Execute the next command, or wait for one.</summary>
    Run,

    /// <summary>Wait at most <see cref="CompletionGathering.WaitMilliseconds"/> for another command.</summary>
    WaitBriefly,

    /// <summary>Report the held commands.</summary>
    Report,
}

/// <summary>
/// How many queued commands are reported together. An interrupt costs a guest of this path five exits, of which three wait
/// for an answer, so a driver that keeps many commands in flight gets one for several of them. One that has a single command
/// in flight gets each at once. The goal grows while it is reached, and falls where commands stay away; each fall makes the
/// next growth rarer. Worker thread, under the controller's lock.
/// </summary>
internal sealed class CompletionGathering
{
    /// <summary>The largest goal: half of the command slots, so that disk and driver both have work.</summary>
    internal const int Most = IssueQueue.Slots / 2;

    /// <summary>How long commands are held while the driver issues none.</summary>
    internal const int WaitMilliseconds = 1;

    private const int FirstProof = 4, LargestProof = 4096;

    // A disk that has had work for so long is the slower part: then the driver should not wait, too.
    private static readonly long s_busy = Stopwatch.Frequency / 5000, s_longest = Stopwatch.Frequency / 500;

    private int _proofs, _needed = FirstProof;
    private long _heldSince, _busySince;
    private bool _isGoalNew, _isLate;

    /// <summary>So many commands are gathered.</summary>
    internal int Goal { get; private set; } = 1;

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
        if (held == 0) return GatheringStep.Run;
        if (hasWork) return now - _busySince < s_busy ? GatheringStep.Run : GatheringStep.Report;
        _isLate = held < Goal && now - _heldSince >= s_longest;
        return held >= Goal || _isLate ? GatheringStep.Report : GatheringStep.WaitBriefly;
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
