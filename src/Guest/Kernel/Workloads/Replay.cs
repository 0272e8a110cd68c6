using System.Globalization;
using System.Security.Cryptography;
using VmShunt.BlockDriver.Memory;
using VmShunt.Guest.Requests;

namespace VmShunt.Guest.Workloads;

/// <summary>
/// Runs the requests of a script and records the result of each, so that two runs can be compared. Requests between two
/// <c>wait</c> lines are concurrent; the script must not let them overlap.
/// </summary>
internal static class Replay
{
    /// <summary>
    /// Runs a script. Once concurrent requests have completed it writes and flushes their results, one line per request in
    /// script order, so that a killed machine leaves correct results. Blocks the calling thread.
    /// </summary>
    /// <returns>The number of requests.</returns>
    /// <exception cref="ArgumentException">A line is not a request.</exception>
    internal static int Run(DiskClassDriver disk, GuestPages pages, IReadOnlyList<string> script, TextWriter transcript)
    {
        var concurrent = new List<Task<string>>();
        var requests = 0;
        for (var i = 0; i < script.Count; i++)
        {
            var words = script[i].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words is ["wait"])
            {
                Complete(concurrent, transcript);
                continue;
            }
            if (words.Length == 0) continue;
            concurrent.Add(RunLine(disk, pages, words, i + 1));
            requests++;
        }
        Complete(concurrent, transcript);
        return requests;
    }

    private static void Complete(List<Task<string>> concurrent, TextWriter transcript)
    {
        Task.WaitAll(concurrent);
        foreach (var result in concurrent) transcript.WriteLine(result.Result);
        transcript.Flush();
        concurrent.Clear();
    }

    private static Task<string> RunLine(DiskClassDriver disk, GuestPages pages, string[] words, int line) => words switch
    {
        ["flush"] => RunAsync(() => disk.FlushAsync()),
        ["read", var sector, var bytes] => TransferAsync(pages, Bytes(bytes, line), (buffer) => disk.ReadAsync(Number(sector, line), buffer), isRead: true),
        ["write", var sector, var bytes, var seed] => TransferAsync(
            pages,
            Bytes(bytes, line),
            buffer =>
            {
                new Random((int)Number(seed, line)).NextBytes(buffer.Span);
                return disk.WriteAsync(Number(sector, line), buffer);
            },
            isRead: false),
        ["discard", var sector, var bytes] => RunAsync(() => disk.DiscardAsync(Number(sector, line), Bytes(bytes, line))),
        ["zero", var sector, var bytes] => RunAsync(() => disk.WriteZeroesAsync(Number(sector, line), Bytes(bytes, line))),
        _ => throw new ArgumentException($"line {line} is not a request: {string.Join(' ', words)}"),
    };

    private static async Task<string> TransferAsync(GuestPages pages, int bytes, Func<GuestBuffer, ValueTask> transfer, bool isRead)
    {
        var buffer = pages.Allocate(Math.Max(bytes, 1));
        try
        {
            var result = await RunAsync(() => transfer(buffer.Slice(0, bytes)));
            return isRead && result == "ok" ? $"ok {Convert.ToHexStringLower(SHA256.HashData(buffer.Slice(0, bytes).Span))}" : result;
        }
        finally
        {
            pages.Free(buffer);
        }
    }

    private static async Task<string> RunAsync(Func<ValueTask> request)
    {
        try
        {
            await request();
            return "ok";
        }
        catch (BlockIoException e)
        {
            return e.Status.ToString();
        }
        catch (ArgumentOutOfRangeException)
        {
            return "refused";
        }
    }

    private static ulong Number(string text, int line) =>
        ulong.TryParse(text, CultureInfo.InvariantCulture, out var number) ? number : throw new ArgumentException($"line {line}: {text} is not a number");

    private static int Bytes(string text, int line) =>
        int.TryParse(text, CultureInfo.InvariantCulture, out var number) && number is >= 0 and <= 64 << 20
            ? number
            : throw new ArgumentException($"line {line}: {text} is not a length from 0 to 64 MiB");
}
