namespace VmShunt.Tests.Guest.Kernel.Commands.Measure;

/// <summary>The commands that measure and check a stack, on the trap path and the ring path.</summary>
[Collection(CopyCountCollection.Name)]
public sealed class MeasureCommandTests(BoardFixture board, BusFixture bus) : IClassFixture<BoardFixture>, IClassFixture<BusFixture>, IDisposable
{
    private readonly string _script = Path.Combine(Path.GetTempPath(), $"vmshunt-script-{Guid.NewGuid():N}");

    public void Dispose()
    {
        File.Delete(_script);
        File.Delete(_script + ".out");
    }

    [Theory]
    [InlineData(false, "--depth 4")]
    [InlineData(true, "--depth 4")]
    [InlineData(true, "--depth 2 --batch 8")]
    [InlineData(true, "--polled")]
    public void Bench_makes_the_requests_that_it_was_told_to_without_a_copy(bool isRing, string how)
    {
        var answer = Guest(isRing).Run($"bench --operation randwrite --block-size 4096 --requests 400 {how}");
        Assert.Equal((400, 0.0), ((long)answer["requests"]!, (double)answer["copiesPerRequest"]!));
        double p50 = (double)answer["p50Microseconds"]!, p99 = (double)answer["p99Microseconds"]!, longest = (double)answer["maxMicroseconds"]!;
        Assert.True(0 < p50 && p50 <= p99 && p99 <= longest, $"{p50} {p99} {longest}");
        if (!isRing) Assert.Equal((0.0, 0.0), ((double)answer["kicksPerRequest"]!, (double)answer["callsPerRequest"]!));
    }

    [Theory]
    [InlineData("bench --block-size 1000", "--block-size takes a multiple of 512 up to 4 MiB")]
    [InlineData("bench --depth 0", "--depth takes 1 to 1024")]
    [InlineData("bench --seconds -1", "--seconds takes a positive number")]
    [InlineData("load start --depth 1025", "--depth takes 1 to 1024")]
    [InlineData("race --first-sector 0 --blocks 0", "--blocks takes 1 to 256")]
    [InlineData("trace --count 4096", "--count takes 1 to 2048")]
    [InlineData("probe --requests -1", "--requests takes 0 to 1000000")]
    public void A_value_out_of_range_is_rejected_with_the_range(string line, string error) => Assert.Equal(error, board.Guest.ErrorsOf(line));

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_verified_load_ends_without_a_lost_or_wrong_request(bool isRing)
    {
        var guest = Guest(isRing);
        var before = Requests();
        guest.Run("load start --depth 16 --write --sectors 2048");
        Assert.Throws<InvalidOperationException>(() => guest.Run("load start"));
        Assert.True(SpinWait.SpinUntil(() => Requests() > before + 500, TimeSpan.FromSeconds(60)));
        var answer = guest.Run("load stop");
        Assert.InRange((long)answer["completed"]!, 500, long.MaxValue);
        Assert.Equal((long)answer["requests"]!, (long)answer["completed"]!);
        Assert.All((string[])["failed", "lost", "repeated", "mismatched"], key => Assert.Equal(0, (long)answer[key]!));
        Assert.Throws<InvalidOperationException>(() => guest.Run("load stop"));

        long Requests() => (long)guest.Run("info")["requests"]![isRing ? "ring" : "trap"]!;
    }

    [Theory]
    [InlineData(false, "emulating", "trap")]
    [InlineData(true, "enlightened", "ring")]
    public void A_trace_names_the_stack_and_the_path_and_draws_both(bool isRing, string stack, string path)
    {
        var answer = Guest(isRing).Run("trace --warm 3 --sector 8");
        Assert.Equal((stack, path, "Ok"), ((string)answer["stack"]!, (string)answer["road"]!, (string)answer["status"]!));
        Assert.Equal(isRing, (int)answer["registerAccesses"]! == 0);
        var hops = answer["hops"]!.AsArray().Select(static hop => (string)hop!["hop"]!).ToArray();
        Assert.Equal(("Entered", "Completed"), (hops[0], hops[^1]));
        var text = (string)answer["text"]!;
        Assert.Contains(isRing ? "port driver-en" : "class driver-em", text, StringComparison.Ordinal);
        Assert.Contains($"path: {(isRing ? "Ring" : "Trap")}", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Replay_records_a_result_per_request_in_script_order(bool isRing)
    {
        File.WriteAllLines(_script, ["write 40 1024 7", "wait", "read 40 1024", "flush", "read 99999999 512", "discard 80 4096"]);
        Assert.Equal(5, (long)Guest(isRing).Run($"replay --script {_script} --transcript {_script}.out")["requests"]!);
        var lines = File.ReadAllLines(_script + ".out");
        Assert.Equal(["ok", "ok", "refused", "ok"], [lines[0], lines[2], lines[3], lines[4]]);
        Assert.Matches("^ok [0-9a-f]{64}$", lines[1]);
    }

    [Fact]
    public void A_probing_application_finds_the_disk_by_every_means()
    {
        var answer = board.Guest.Run("probe --requests 5");
        Assert.Equal(["sda"], answer["listed"]!.AsArray().Select(static name => (string)name!));
        Assert.Equal(["sda"], answer["named"]!.AsArray().Select(static name => (string)name!));
        Assert.Equal(["ahci0"], answer["registers"]!.AsArray().Select(static name => (string)name!));
        Assert.Equal(15, (long)answer["requests"]!);
    }

    private RunningKernel Guest(bool isRing) => isRing ? bus.Guest : board.Guest;
}
