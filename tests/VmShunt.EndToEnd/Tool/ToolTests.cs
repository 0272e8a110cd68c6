using System.Text.Json;
using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Tool;

/// <summary>The command <c>vmshunt</c>: a program that it starts behaves as if it had been started by itself.</summary>
public sealed class ToolTests : IDisposable
{
    private const string Tool = "vmshunt";

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_program_has_the_tools_process_its_streams_its_signals_and_its_exit_code()
    {
        var socket = _folder["ring"];
        await using var host = await Programs.StartReadyAsync(Tool, "host", "--disk", "memory:4M", "--vhost-user", socket);
        Assert.Equal("vmshunt-host", File.ReadAllText($"/proc/{host.Id}/comm").Trim());

        await using (var guest = await Programs.StartReadyAsync(Tool, "guest", "--bus", socket, "--memory", "32M", "console"))
        {
            var info = await new GuestConsole(guest).AskAsync("info", GuestAnswersJson.Default.GuestInfo, Until.Patience, default);
            Assert.Equal(4 << 20, info.Disk.Bytes);
        }

        ProcessTable.Send(host.Id, Signal.Terminate);
        Assert.Equal(0, (await Programs.WaitForEndAsync(host)).ExitCode);
        var refused = await Programs.RunAsync(Tool, "host", "--disk", "memory:4M", "--vhost-user", socket, "--queues", "0");
        Assert.Equal(1, refused.ExitCode);
        Assert.Equal("vmshunt-host: --queues takes 1 to 64; see vmshunt-host --help", refused.ErrorText);
    }

    [Fact]
    public async Task A_disk_that_it_makes_boots_on_its_physical_machine()
    {
        var disk = _folder["disk.img"];
        var made = await Programs.RunAsync(Tool, "make-disk", disk);
        Assert.True(made.ExitCode == 0, made.ErrorText);
        var info = await Programs.RunAsync(Tool, "machine", "--disk", disk, "info");
        Assert.True(info.ExitCode == 0, info.ErrorText);
        Assert.Contains("mode: emulating", info.Output);
    }

    [Fact]
    public async Task It_compares_and_names_itself_in_the_result()
    {
        var json = _folder["compare.json"];
        var ended = await Programs.RunAsync(Tool, "compare", "--quick", "--rows", "roundtrip", "--json", json);
        Assert.True(ended.ExitCode == 0, ended.ErrorText);
        using var result = JsonDocument.Parse(File.ReadAllText(json));
        Assert.Equal("vmshunt compare --quick --rows roundtrip", result.RootElement.GetProperty("command").GetString());
        Assert.NotEmpty(Assert.Single(result.RootElement.GetProperty("rows").EnumerateArray()).GetProperty("measurements").EnumerateArray());

        var rendered = await Programs.RunAsync(Tool, "compare", json, "--report", _folder["report.html"]);
        Assert.True(rendered.ExitCode == 0, rendered.ErrorText);
        Assert.Contains("<svg", File.ReadAllText(_folder["report.html"]), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_program_that_is_missing_is_named_with_what_to_do()
    {
        var refused = await Programs.WaitForEndAsync(Programs.StartWith($"VMSHUNT_HOST={_folder["none"]}", Tool, "host", "--help"));
        Assert.Equal(126, refused.ExitCode);
        Assert.Contains($"vmshunt-host cannot be started from {_folder["none"]}: No such file or directory", refused.ErrorText, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("vmshunt la", "launch")]
    [InlineData("vmshunt h", "host hypervisor")]
    [InlineData("vmshunt launch --qu", "--quick")]
    [InlineData("vmshunt tr", "trace")]
    [InlineData("vmshunt trace --pa", "--path")]
    [InlineData("vmshunt trace --operation ", "flush read write")]
    [InlineData("vmshunt trace --path trap r", "ring")]
    [InlineData("vmshunt com", "compare completion")]
    [InlineData("vmshunt compare --ro", "--rows")]
    [InlineData("vmshunt man m", "machine")]
    [InlineData("vmshunt completion ", "bash")]
    [InlineData("vmshunt host --vh", "--vhost-user")]
    [InlineData("vmshunt host --engine u", "uring")]
    [InlineData("vmshunt hypervisor --dev", "--device")]
    [InlineData("vmshunt guest --bus ring.sock ha", "hash")]
    [InlineData("vmshunt guest bench --dep", "--depth")]
    [InlineData("vmshunt machine --ser", "--serial")]
    public async Task Bash_completes_commands_and_options(string line, string expected)
    {
        var script = await Programs.RunAsync(Tool, "completion", "bash");
        Assert.True(script.ExitCode == 0, script.ErrorText);
        File.WriteAllLines(_folder["completion"], script.Output);
        // What bash does at Tab: it sets these variables, calls the function, and reads COMPREPLY.
        var words = string.Join(' ', line.Split(' ').Select(static word => $"'{word}'"));
        var completed = await Programs.RunAsync(
            Installed.Require("bash"),
            "-c",
            $"PATH='{AppContext.BaseDirectory}':$PATH; . '{_folder["completion"]}'; complete -p vmshunt >/dev/null || exit 1; COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; "
            + $"COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _vmshunt; printf '%s\\n' \"${{COMPREPLY[@]}}\"");
        Assert.True(completed.ExitCode == 0, completed.ErrorText);
        Assert.Equal(expected.Split(' '), completed.Output.Order(StringComparer.Ordinal));
    }
}
