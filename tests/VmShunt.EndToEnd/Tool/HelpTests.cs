using VmShunt.EndToEnd.Processes;

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
    [InlineData("vmshunt-guest bench --help")]
    [InlineData("vmshunt-guest --hypervisor /nowhere info --help")]
    [InlineData("vmshunt-perf launch --help")]
    [InlineData("vmshunt launch --help")]
    [InlineData("vmshunt completion --help")]
    public async Task Help_of_a_command_exits_with_0(string command)
    {
        var words = command.Split(' ');
        var help = await Programs.RunAsync(words[0], words[1..]);
        Assert.True(help.ExitCode == 0, help.ErrorText);
        Assert.Contains("Usage:", help.Output);
    }
}
