using VmShunt.EndToEnd.Processes;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Disk;

/// <summary>
/// A flush reaches the file as one system call, after the writes that it covers. A kill of a process keeps the page cache, so
/// only the order of system calls shows it.
/// </summary>
public sealed class FlushTests(OwnDisk own, ITestOutputHelper output) : IClassFixture<OwnDisk>, IDisposable
{
    private static readonly string[] s_writes = ["pwrite64", "pwritev", "pwritev2", "io_uring_enter", "io_submit"], s_flushes = ["fsync", "fdatasync"];

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [SystemCallTheory]
    [InlineData("--engine", "mmap")]
    [InlineData("--engine", "pread")]
    [InlineData("--engine", "uring")]
    [InlineData("--cache", "direct")]
    public async Task A_flush_reaches_the_file_once_on_both_paths_after_the_writes_that_it_covers(params string[] options)
    {
        await using var machine = await RunningMachine.BootAsync(own.CopyTo(_folder), hostOptions: options);
        var data = await machine.DataAsync();
        foreach (var (mode, stack) in ((string, string)[])[("emulating", "emulating"), ("enlightened", "emulating"), ("enlightened", "enlightened")])
        {
            await machine.ModeAsync(mode);
            await using var log = await SystemCallLog.AttachAsync(machine.Host.Id, [.. s_writes, .. s_flushes]);
            for (var round = 0; round < 2; round++)
            {
                await machine.AskAsync($"fill --stack {stack} --sector {data.First + (64 * round)} --count 64 --seed {round}");
                await machine.AskAsync($"flush --stack {stack}");
            }
            var calls = await log.EndAsync();
            output.WriteLine($"{mode}, {stack}: {string.Join(' ', calls)}");
            var order = string.Concat(calls.Select(static call => s_flushes.Contains(call) ? 'f' : 'w'));
            // A fill ends with a flush of its own.
            Assert.Matches("^w+ffw+ff$", order);
        }
    }

    [SystemCallFact]
    public async Task Without_a_write_cache_each_write_is_flushed_before_it_completes_on_both_paths()
    {
        await using var machine = await RunningMachine.BootAsync(own.CopyTo(_folder), hostOptions: ["--cache", "writethrough"]);
        var data = await machine.DataAsync();
        foreach (var mode in (string[])["emulating", "enlightened"])
        {
            await machine.ModeAsync(mode);
            await using var log = await SystemCallLog.AttachAsync(machine.Host.Id, [.. s_writes, .. s_flushes]);
            for (var round = 0; round < 2; round++) await machine.AskAsync($"fill --stack emulating --sector {data.First} --count 8 --seed {round}");
            var order = string.Concat((await log.EndAsync()).Select(static call => s_flushes.Contains(call) ? 'f' : 'w'));
            Assert.Matches("^w+f+w+f+$", order);
        }
    }
}
