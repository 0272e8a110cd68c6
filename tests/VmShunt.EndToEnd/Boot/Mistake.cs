using System.Text.RegularExpressions;
using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Boot;

/// <summary>A wrong command line: the program refuses it with one line, which is no stack trace, and changes no file.</summary>
internal static partial class Mistake
{
    // In a command: {disk} is a disk, {empty} an empty file, {file} a file with content, {none} no file; {new} is a socket
    // that the program may create, {ring}, {trap} and {hypervisor} are sockets of running servers.
    internal static string Fill(TestFolder folder, string text) => text
        .Replace("{disk}", folder["disk.img"], StringComparison.Ordinal).Replace("{empty}", folder["empty"], StringComparison.Ordinal)
        .Replace("{file}", folder["file"], StringComparison.Ordinal).Replace("{new}", folder["new"], StringComparison.Ordinal)
        .Replace("{none}", folder["none"], StringComparison.Ordinal).Replace("{folder}", folder.Path, StringComparison.Ordinal)
        .Replace("{ring}", folder["ring"], StringComparison.Ordinal).Replace("{trap}", folder["trap"], StringComparison.Ordinal)
        .Replace("{hypervisor}", folder["hypervisor"], StringComparison.Ordinal);

    internal static void MakeFiles(TestFolder folder)
    {
        folder.RandomFile("disk.img", 1 << 20);
        folder.RandomFile("file", 100);
        File.WriteAllBytes(folder["empty"], []);
    }

    internal static async Task AssertRefusedAsync(TestFolder folder, string command, string said)
    {
        if (!File.Exists(folder["disk.img"])) MakeFiles(folder);
        var words = Fill(folder, command).Split(' ');
        var ended = await Programs.RunAsync(words[0], words[1..]);

        Assert.NotEqual(0, ended.ExitCode);
        Assert.DoesNotContain(ended.Output, static line => line.StartsWith("ready", StringComparison.Ordinal));
        Assert.Contains(Fill(folder, said), ended.ErrorText, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", ended.ErrorText + string.Join('\n', ended.Output), StringComparison.Ordinal);
        // Besides the error there may be log lines of the hypervisor.
        Assert.Single(ended.Errors, static line => !LogLine().IsMatch(line));
        Assert.DoesNotContain("Usage:", ended.ErrorText + string.Join('\n', ended.Output), StringComparison.Ordinal);
        Assert.Equal(100, new FileInfo(folder["file"]).Length);
        Assert.True(File.Exists(folder["empty"]), "the empty file was deleted");
    }

    [GeneratedRegex(@"^\d\d:\d\d:\d\d\.\d{6} info: ")]
    private static partial Regex LogLine();
}
