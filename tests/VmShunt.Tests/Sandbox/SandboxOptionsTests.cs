using System.CommandLine;
using VmShunt.Sandbox;

namespace VmShunt.Tests.Sandbox;

/// <summary>The options of both servers.</summary>
public class SandboxOptionsTests
{
    [Fact]
    public void What_is_not_given_forbids_nothing() => Assert.Equal(SandboxOptions.None, Parse("").Options);

    [Fact]
    public void Every_option_is_read()
    {
        var options = Parse("--sandbox on --user daemon --allow-path /a --allow-path /b --allow-connect 80").Options!;
        Assert.Equal((SandboxMode.On, "daemon"), (options.Mode, options.User));
        Assert.Equal(["/a", "/b"], options.Paths);
        Assert.Equal([80], options.Ports);
    }

    [Theory]
    [InlineData("--sandbox maybe", "--sandbox takes off, log or on")]
    [InlineData("--sandbox on --allow-connect 0", "--allow-connect takes a TCP port")]
    [InlineData("--sandbox on --allow-connect http", "--allow-connect takes a TCP port")]
    [InlineData("--user daemon", "are for --sandbox on")]
    [InlineData("--sandbox log --allow-path /a", "are for --sandbox on")]
    public void A_wrong_value_is_refused(string arguments, string message) => Assert.Contains(message, Parse(arguments).Error, StringComparison.Ordinal);

    private static (SandboxOptions? Options, string Error) Parse(string arguments)
    {
        var root = new RootCommand();
        var read = SandboxOptions.AddTo(root);
        var parsed = root.Parse(arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        return parsed.Errors.Count == 0 ? (read(parsed), "") : (null, string.Join(' ', parsed.Errors.Select(static error => error.Message)));
    }
}
