using System.Buffers.Text;
using System.Text.Unicode;
using VmShunt.Ring.Interop;

namespace VmShunt.Guest.Crash;

/// <summary>
/// Reports the outcome of a crash and ends the process. It uses only memory allocated at boot, since no other may be left.
/// Not even interpolated strings: unoptimized code boxes their numbers. One thread, the one that crashed first.
/// </summary>
internal sealed class CrashReport
{
    private const int MaxBytes = 8192, MaxTextBytes = 2048;

    private readonly byte[] _line = new byte[MaxBytes];
    private readonly byte[] _text = new byte[MaxTextBytes];

    internal CrashReport() => CrashOutput.Prepare();

    /// <summary>Compiles everything that a report runs.</summary>
    internal void Rehearse()
    {
        var outcome = new CrashOutcome(1, 1, 1, null);
        _ = Answer("rehearsal", outcome, json: true);
        _ = Answer("rehearsal", outcome, json: false);
        _ = Answer("rehearsal", outcome with { Failure = "none" }, json: true);
        _ = FailureLine("rehearsal", outcome);
        _ = FailureLine("rehearsal", outcome with { Failure = "none" });
    }

    /// <summary>Reports a crash by command: its answer on standard output, a failure also on standard error. Ends the process.</summary>
    internal void AnswerAndPowerOff(string reason, in CrashOutcome outcome, bool json)
    {
        if (outcome.Failure is not null) CrashOutput.WriteError(FailureLine(reason, outcome));
        if (outcome.Failure is null || json) CrashOutput.WriteOutput(Answer(reason, outcome, json));
        CrashOutput.Exit(outcome.Failure is null ? 0 : 1);
    }

    /// <summary>Reports an unintended crash. Ends the process.</summary>
    internal void ComplainAndPowerOff(string reason, in CrashOutcome outcome)
    {
        CrashOutput.WriteError(FailureLine(reason, outcome));
        CrashOutput.Exit(1);
    }

    /// <summary>The command's answer.</summary>
    internal ReadOnlySpan<byte> Answer(string reason, in CrashOutcome outcome, bool json)
    {
        if (outcome.Failure is { } failure)
        {
            var end = Append(0, "{\"command\":\"crash\",\"ok\":false,\"error\":\"no dump was written: "u8);
            end = Append(end, Plain(failure));
            return _line.AsSpan(0, Append(end, "\"}\n"u8));
        }
        var at = Append(0, json ? "{\"command\":\"crash\",\"ok\":true,\"reason\":\""u8 : "reason: "u8);
        at = Append(at, Plain(reason));
        at = Append(at, json ? "\",\"inFlight\":"u8 : "\ninFlight: "u8);
        at = Append(at, outcome.InFlight);
        at = Append(at, json ? ",\"dump\":{\"bytes\":"u8 : "\ndump: "u8);
        at = Append(at, outcome.DumpBytes);
        if (json)
        {
            at = Append(at, ",\"road\":\"trap\",\"allocatedBytes\":"u8);
            at = Append(at, outcome.AllocatedBytes);
        }
        return _line.AsSpan(0, Append(at, json ? "}}\n"u8 : " bytes through the trap\n"u8));
    }

    /// <summary>The line on standard error.</summary>
    internal ReadOnlySpan<byte> FailureLine(string reason, in CrashOutcome outcome)
    {
        var at = Append(0, "vmshunt-guest: "u8);
        at = Append(at, Plain(reason));
        if (outcome.Failure is null)
        {
            at = Append(at, "; a dump of "u8);
            at = Append(at, outcome.DumpBytes);
            at = Append(at, " bytes was written"u8);
        }
        else
        {
            at = Append(at, "; no dump was written"u8);
            // The reason of the crash is often what prevents the dump; it is printed once.
            if (!ReferenceEquals(outcome.Failure, reason) && outcome.Failure != reason)
            {
                at = Append(at, ": "u8);
                at = Append(at, Plain(outcome.Failure));
            }
            at = Append(at, "; "u8);
            at = Append(at, outcome.InFlight);
            at = Append(at, " requests in flight are lost"u8);
        }
        return _line.AsSpan(0, Append(at, "\n"u8));
    }

    private int Append(int at, long number) => Utf8Formatter.TryFormat(number, _line.AsSpan(at), out var written) ? at + written : at;

    private int Append(int at, ReadOnlySpan<byte> text)
    {
        text.CopyTo(_line.AsSpan(at));
        return at + text.Length;
    }

    // Makes a text valid inside a JSON string: no quotes, backslashes or control characters; truncated to the buffer.
    private ReadOnlySpan<byte> Plain(ReadOnlySpan<char> text)
    {
        Utf8.FromUtf16(text, _text, out _, out var length, replaceInvalidSequences: true);
        var plain = _text.AsSpan(0, length);
        plain.Replace((byte)'"', (byte)'\'');
        plain.Replace((byte)'\\', (byte)'/');
        foreach (ref var b in plain)
        {
            if (b < 0x20) b = (byte)' ';
        }
        return plain;
    }
}
