using System.IO.Compression;
using System.Text.Json;
using VmShunt.EndToEnd.Packaging;

namespace VmShunt.EndToEnd.Tool;

/// <summary>The tool as a user has it: from its package, in a folder of its own.</summary>
public sealed class InstalledToolTests(InstalledTool tool) : IClassFixture<InstalledTool>
{
    [FactIfPacked]
    public async Task It_starts_its_programs_and_traces_a_request()
    {
        foreach (var program in new[] { "host", "hypervisor", "guest", "machine" })
        {
            var version = await Programs.RunAsync(tool.Command, program, "--version");
            Assert.True(version.ExitCode == 0, version.ErrorText);
            Assert.Contains(Assert.Single(version.Output).Split('+')[0], InstalledTool.Packages[0], StringComparison.Ordinal);
        }
        var traced = await Programs.RunAsync(tool.Command, "trace", "--path", "ring", "trap");
        Assert.True(traced.ExitCode == 0, traced.ErrorText);
        Assert.Equal(2, traced.Output.Count(static line => line.Contains("the request with the median duration", StringComparison.Ordinal)));
    }

    /// <summary>The row starts the program a second time, as the other end of the ring.</summary>
    [FactIfPacked]
    public async Task It_compares()
    {
        var json = tool["compare.json"];
        var ended = await Programs.RunAsync(tool.Command, "compare", "--quick", "--rows", "roundtrip", "--json", json);
        Assert.True(ended.ExitCode == 0, ended.ErrorText);
        using var result = JsonDocument.Parse(File.ReadAllText(json));
        Assert.Equal("vmshunt compare --quick --rows roundtrip", result.RootElement.GetProperty("command").GetString());
    }

    [FactIfPacked]
    public async Task Its_manual_pages_have_every_option_and_every_command()
    {
        // In man's place: it names the page that it was given.
        var folder = Directory.CreateDirectory(tool["bin"]).FullName;
        File.WriteAllText(Path.Combine(folder, "man"), "#!/bin/sh\necho \"page $1\"\n");
        await DebianPackage.SucceedAsync(Installed.Require("chmod"), "+x", Path.Combine(folder, "man"));
        foreach (var program in new[] { "", "host", "hypervisor", "guest", "machine" })
        {
            string[] words = program.Length > 0 ? [program] : [];
            var shown = await Programs.WaitForEndAsync(Programs.StartWith($"PATH={folder}:/usr/bin:/bin", tool.Command, ["man", .. words]));
            Assert.True(shown.ExitCode == 0, shown.ErrorText);
            var file = Assert.Single(shown.Output)["page ".Length..];
            Assert.EndsWith($"/vmshunt{(program.Length > 0 ? "-" : "")}{program}.1.gz", file, StringComparison.Ordinal);

            var page = ManualText.Read(file);
            var help = (await Programs.RunAsync(tool.Command, [.. words, "--help"])).Output;
            var options = ManualText.Entries(help, "Options");
            Assert.InRange(options.Count, 2, int.MaxValue);
            Assert.Equal([], options.Where(option => !page.Contains($".TP\n.B {option.Name}\n{option.Text}\n", StringComparison.Ordinal)));
            var commands = ManualText.Entries(help, "Commands");
            Assert.Equal(program is "" or "guest", commands.Count > 0);
            Assert.Equal([], commands.Where(command => !page.Contains($".SS {command.Name}\n{command.Text}\n", StringComparison.Ordinal)));
            Assert.DoesNotMatch("@[A-Z]+@", page);
        }
        var guest = ManualText.Read(Path.Combine(Path.GetDirectoryName(InstalledPage("vmshunt-guest"))!, "vmshunt-guest.1.gz"));
        Assert.Contains(".B --block-size <block-size>\n", guest, StringComparison.Ordinal);
        Assert.Contains(".B export <FILE>\n", guest, StringComparison.Ordinal);
    }

    [FactIfPacked]
    public async Task A_page_that_is_not_there_is_named_with_what_to_do()
    {
        // Built, not installed.
        var refused = await Programs.RunAsync("vmshunt", "man");
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains("only the tool's package has the manual pages", refused.ErrorText, StringComparison.Ordinal);
    }

    /// <summary>Every package has an icon, a readme and no licence, which is the owner's to choose.</summary>
    [FactIfPacked]
    public void Every_package_has_its_icon_and_its_readme()
    {
        var packages = InstalledTool.Find("VmShunt.*.nupkg");
        foreach (var package in packages)
        {
            using var archive = ZipFile.OpenRead(package);
            using var specification = new StreamReader(archive.Entries.Single(static entry => entry.FullName.EndsWith(".nuspec", StringComparison.Ordinal)).Open());
            var text = specification.ReadToEnd();
            foreach (var (element, file) in new[] { ("icon", "icon.png"), ("readme", "README.md") })
            {
                Assert.True(text.Contains($"<{element}>{file}</{element}>", StringComparison.Ordinal), $"{Path.GetFileName(package)} names no {element}");
                Assert.NotNull(archive.GetEntry(file));
            }
        }
        Assert.Contains(packages, static package => Path.GetFileName(package).StartsWith("VmShunt.Tool.", StringComparison.Ordinal));
    }

    private string InstalledPage(string program) =>
        Directory.EnumerateFiles(tool["tool"], $"{program}.1.gz", SearchOption.AllDirectories).Single();
}
