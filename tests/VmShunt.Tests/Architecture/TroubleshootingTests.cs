using System.Text.RegularExpressions;

namespace VmShunt.Tests.Architecture;

/// <summary>docs/troubleshooting.md quotes messages that the programs really print.</summary>
public partial class TroubleshootingTests
{
    [Fact]
    public void Every_message_that_the_page_quotes_is_in_the_code()
    {
        var page = File.ReadAllText(Path.Combine(Sources.Root, "docs", "troubleshooting.md"));
        // QEMU's messages are QEMU's.
        var ours = Section().Matches(page).Where(static section => section.Groups[1].Value != "QEMU").SelectMany(static section => Message().Matches(section.Value));
        var messages = ours.Select(static match => match.Groups[1].Value).ToList();
        var code = string.Concat(Sources.Texts("src").Concat(Sources.Texts("perf")));
        Assert.InRange(messages.Count, 15, int.MaxValue);
        Assert.Equal([], messages.SelectMany(static message => message.Split('…')).Select(static part => part.Trim()).Where(part => !code.Contains(part, StringComparison.Ordinal)));
    }

    [GeneratedRegex(@"^## (.*?)\n(?:.*?)(?=^## |\z)", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Section();

    [GeneratedRegex("^### `(.*)`", RegexOptions.Multiline)]
    private static partial Regex Message();
}
