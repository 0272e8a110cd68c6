using VmShunt.Guest.Loader;

namespace VmShunt.Tests.Guest.Loader;

/// <summary>The options that create the machine, found among those of the kernel.</summary>
public class LoaderOptionsTests
{
    [Fact]
    public void The_options_of_the_machine_are_found_among_others_in_both_forms()
    {
        var options = LoaderOptions.Scan(["--json", "--hypervisor=/run/hv", "--memory", "128M", "--processors=3", "--wait", "1.5", "bench", "--depth", "8"])!;
        Assert.Equal(("/run/hv", 128L << 20, TimeSpan.FromSeconds(1.5)), (options.HypervisorSocket, options.MemoryBytes, options.Wait));
        Assert.Equal(2, options.Processors - LoaderOptions.Scan(["--hypervisor", "/run/hv"])!.Processors);
    }

    [Theory]
    [InlineData("info")]
    [InlineData("--bus", "/run/disk", "info")]
    [InlineData("--hypervisor", "/run/hv", "--help")]
    [InlineData("--hypervisor")]
    public void Without_a_hypervisor_or_for_help_no_machine_is_created(params string[] arguments) => Assert.Null(LoaderOptions.Scan(arguments));

    [Theory]
    [InlineData("--memory", "much")]
    [InlineData("--processors", "few")]
    [InlineData("--wait", "-1")]
    [InlineData("--wait", "3601")]
    public void An_invalid_value_is_named_with_what_is_expected(string option, string value)
    {
        var failure = Assert.Throws<BootException>(() => LoaderOptions.Scan(["--hypervisor", "/run/hv", option, value]));
        Assert.StartsWith($"{option} {value}: ", failure.Message, StringComparison.Ordinal);
        Assert.EndsWith("expected", failure.Message, StringComparison.Ordinal);
    }
}
