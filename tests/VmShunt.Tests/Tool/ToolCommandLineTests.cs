using VmShunt.Tool;

namespace VmShunt.Tests.Tool;

public class ToolCommandLineTests
{
    // Standard output and error belong to the whole process, so these look at exit codes; VmShunt.EndToEnd reads what is said.
    [Theory]
    [InlineData(0, "--help")]
    [InlineData(0, "--version")]
    [InlineData(0, "completion", "bash")]
    [InlineData(0, "launch", "--help")]
    [InlineData(1)]
    [InlineData(1, "dance")]
    [InlineData(1, "completion", "cobol")]
    [InlineData(1, "launch", "--memory", "100")]
    public async Task A_command_line_has_its_exit_code(int code, params string[] words) => Assert.Equal(code, await ToolCommandLine.InvokeAsync(words));
}
