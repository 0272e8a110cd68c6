namespace VmShunt.EndToEnd.Tool;

/// <summary>Help and version need nothing else on the command line, no server and no machine.</summary>
public class HelpTests
{
    [Theory]
    [InlineData("vmshunt-host")]
    [InlineData("vmshunt-hypervisor")]
    [InlineData("vmshunt-guest")]
    [InlineData("vmshunt-machine")]
    [InlineData("vmshunt-perf")]
    [InlineData("vmshunt")]
    [InlineData("vmshunt host")]
    [InlineData("vmshunt hypervisor")]
    [InlineData("vmshunt guest")]
    [InlineData("vmshunt machine")]
    public async Task Help_and_version_exit_with_0(string command)
    {
        var words = command.Split(' ');
        foreach (var option in new[] { "--help", "-h", "-?" })
        {
            var help = await Programs.RunAsync(words[0], [.. words[1..], option]);
            Assert.True(help.ExitCode == 0, $"{command} {option} exited with {help.ExitCode}: {help.ErrorText}");
            Assert.Contains("Usage:", help.Output);
            Assert.Contains(help.Output, line => line.Contains(command.Replace(' ', '-'), StringComparison.Ordinal));
            Assert.Empty(help.Errors);
        }
        var version = await Programs.RunAsync(words[0], [.. words[1..], "--version"]);
        Assert.True(version.ExitCode == 0, $"{command} --version exited with {version.ExitCode}: {version.ErrorText}");
        Assert.Matches(@"^\d+\.\d+\.\d+", Assert.Single(version.Output));
    }

    [Theory]
    [InlineData("vmshunt-guest", 25)]
    [InlineData("vmshunt-perf", 7)]
    [InlineData("vmshunt", 10)]
    public async Task Help_of_every_command_exits_with_0(string program, int atLeast) => Assert.InRange(await VisitAsync(program, []), atLeast, int.MaxValue);

    [Fact]
    public async Task Help_of_a_command_after_options_exits_with_0()
    {
        var help = await Programs.RunAsync("vmshunt-guest", "--hypervisor", "/nowhere", "info", "--help");
        Assert.True(help.ExitCode == 0, help.ErrorText);
        Assert.Contains("Usage:", help.Output);
    }

    // Commands, and those below them, as each help names them. The number of commands visited.
    private static async Task<int> VisitAsync(string program, string[] command)
    {
        var help = await Programs.RunAsync(program, [.. command, "--help"]);
        var line = string.Join(' ', [program, .. command]);
        Assert.True(help.ExitCode == 0, $"{line} --help exited with {help.ExitCode}: {help.ErrorText}");
        Assert.Empty(help.Errors);
        var usage = help.Output.SkipWhile(static text => text != "Usage:").ElementAt(1);
        // A command that is another program shows that program's help, which has a visit of its own.
        if (usage.StartsWith($"  {line.Replace(' ', '-')} ", StringComparison.Ordinal) && command.Length > 0) return 1;
        Assert.StartsWith($"  {line} ", usage, StringComparison.Ordinal);
        var names = help.Output.SkipWhile(static text => text != "Commands:").Skip(1)
            .TakeWhile(static text => text.StartsWith("  ", StringComparison.Ordinal))
            .Where(static text => text[2] != ' ')
            .Select(static text => text.Trim().Split(' ')[0]);
        var visited = 1;
        foreach (var name in names) visited += await VisitAsync(program, [.. command, name]);
        return visited;
    }
}
