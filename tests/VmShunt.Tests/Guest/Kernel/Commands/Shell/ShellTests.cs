using System.Text.Json.Nodes;
using VmShunt.BlockBackend.Disk;

namespace VmShunt.Tests.Guest.Kernel.Commands.Shell;

/// <summary>The command line and the console of the real program.</summary>
public class ShellTests
{
    [Fact]
    public void The_console_answers_every_line_with_a_line_of_JSON_and_goes_on_after_an_error()
    {
        using var socket = new ServedSocket(new MemoryPortDriver(1 << 20));
        var run = GuestProgram.Run(["fill --seed 2", "", "nonsense", "fill --seed 3 --verify", "shunt", "flush", "quit", "info"], "--bus", socket.Path, "console");
        Assert.Equal((0, ""), (run.ExitCode, run.Errors));
        Assert.Equal("ready mode=enlightened boot=direct", run.Output[0]);
        var answers = run.Output.Skip(1).Select(static line => JsonNode.Parse(line)!).ToArray();
        Assert.Equal(["fill", "nonsense", "fill", "shunt", "flush", "quit"], answers.Select(static answer => (string)answer["command"]!));
        Assert.Equal([true, false, false, false, true, true], answers.Select(static answer => (bool)answer["ok"]!));
        Assert.Equal("sector 0 does not have the pattern of seed 3", (string)answers[2]["error"]!);
    }

    [Theory]
    [InlineData("name either a hypervisor to run on (--hypervisor SOCKET) or a back-end to use without one (--bus SOCKET)", "info")]
    [InlineData("--queues takes 1 to 16", "--bus", "nowhere", "--queues", "17", "info")]
    [InlineData("--memory takes a size such as 64M", "--bus", "nowhere", "--memory", "much", "info")]
    [InlineData("--wait takes 0 to 3600 seconds", "--bus", "nowhere", "--wait", "-1", "info")]
    public void A_bad_command_line_is_one_line_on_standard_error_that_names_the_help(string error, params string[] arguments)
    {
        var run = GuestProgram.Run([], arguments);
        Assert.Equal((1, $"vmshunt-guest: {error}; see vmshunt-guest --help"), (run.ExitCode, run.Errors));
        Assert.Empty(run.Output);
    }

    [Fact]
    public void A_command_from_the_shell_prints_its_answer_for_people_or_as_JSON()
    {
        using var socket = new ServedSocket(new MemoryPortDriver(1 << 20));
        var text = GuestProgram.Run([], "--bus", socket.Path, "fill", "--count", "8");
        Assert.Equal((0, "sectors: 8"), (text.ExitCode, Assert.Single(text.Output)));
        var json = GuestProgram.Run([], "--bus", socket.Path, "--json", "fill", "--count", "8");
        Assert.Equal((0, "{\"sectors\":8}"), (json.ExitCode, Assert.Single(json.Output)));
    }

    [Fact]
    public void Without_a_back_end_the_error_names_its_socket()
    {
        var run = GuestProgram.Run([], "--bus", "/nonexistent/socket", "info");
        Assert.Equal(1, run.ExitCode);
        Assert.StartsWith("vmshunt-guest: ", run.Errors, StringComparison.Ordinal);
        Assert.Contains("/nonexistent/socket", run.Errors, StringComparison.Ordinal);
    }
}
