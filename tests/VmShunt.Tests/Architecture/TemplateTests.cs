using System.Text.RegularExpressions;

namespace VmShunt.Tests.Architecture;

public partial class TemplateTests
{
    [Fact]
    public void The_template_references_the_package_of_its_own_version()
    {
        var version = Version().Match(File.ReadAllText(Path.Combine(Sources.Root, "Directory.Build.props"))).Groups[1].Value;
        Assert.Contains($"Include=\"VmShunt.BlockBackend\" Version=\"{version}\"", File.ReadAllText(Path.Combine(Sources.Root, "templates/disk/MyDisk.csproj")), StringComparison.Ordinal);
        Assert.Contains($"VmShunt.Templates.{version}.nupkg", File.ReadAllText(Path.Combine(Sources.Root, "README.md")), StringComparison.Ordinal);
    }

    [GeneratedRegex("<Version>(.*)</Version>")]
    private static partial Regex Version();
}
