using System.Globalization;
using System.Security.Cryptography;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Workloads;

/// <summary>
/// Does a script's requests and says what became of each, so that two ways of doing them can be compared. Requests between
/// two <c>wait</c> lines are in flight together; the script sees to it that they do not touch the same sectors.
/// </summary>
internal static class Replay
{
    /// <summary>
    /// Runs a script. Writes a line a request, in the script's order, as soon as those that are in flight together have
    /// ended: what it says is true even if the machine is killed next. Blocks the calling thread.
    /// </summary>
    /// <returns>How many requests there were.</returns>
    /// <exception cref="ArgumentException">A line is no request.</exception>
    internal static int Run(DiskClassDriver disk, GuestPages pages, IReadOnlyList<string> script, TextWriter transcript)
    {
        var together = new List<Task<string>>();
        var requests = 0;
        for (var i = 0; i < script.Count; i++)
        {
            var words = script[i].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words is ["wait"])
            {
                End(together, transcript);
                continue;
            }
            if (words.Length == 0) continue;
            together.Add(RunLine(disk, pages, words, i + 1));
            requests++;
        }
        End(together, transcript);
        return requests;
    }

    private static void End(List<Task<string>> together, TextWriter transcript)
    {
        Task.WaitAll(together);
        foreach (var result in together) transcript.WriteLine(result.Result);
        transcript.Flush();
        together.Clear();
    }

    private static Task<string> RunLine(DiskClassDriver disk, GuestPages pages, string[] words, int line) => words switch
    {
        ["flush"] => DoAsync(() => disk.FlushAsync()),
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
        ["discard", var sector, var bytes] => DoAsync(() => disk.DiscardAsync(Number(sector, line), Bytes(bytes, line))),
        ["zero", var sector, var bytes] => DoAsync(() => disk.WriteZeroesAsync(Number(sector, line), Bytes(bytes, line))),
        _ => throw new ArgumentException($"line {line} is no request: {string.Join(' ', words)}"),
    };

    private static async Task<string> TransferAsync(GuestPages pages, int bytes, Func<GuestBuffer, ValueTask> transfer, bool isRead)
    {
        var buffer = pages.Allocate(Math.Max(bytes, 1));
        try
        {
            var result = await DoAsync(() => transfer(buffer.Slice(0, bytes)));
            return isRead && result == "ok" ? $"ok {Convert.ToHexStringLower(SHA256.HashData(buffer.Slice(0, bytes).Span))}" : result;
        }
        finally
        {
            pages.Free(buffer);
        }
    }

    private static async Task<string> DoAsync(Func<ValueTask> request)
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
        ulong.TryParse(text, CultureInfo.InvariantCulture, out var number) ? number : throw new ArgumentException($"line {line}: {text} is no number");

    private static int Bytes(string text, int line) =>
        int.TryParse(text, CultureInfo.InvariantCulture, out var number) && number is >= 0 and <= 64 << 20
            ? number
            : throw new ArgumentException($"line {line}: {text} is no length from 0 to 64 MiB");
}
