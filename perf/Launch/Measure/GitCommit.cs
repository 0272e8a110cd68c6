using System.ComponentModel;
using System.Diagnostics;

namespace VmShunt.Perf.Measure;

/// <summary>The commit of the source that is measured.</summary>
internal static class GitCommit
{
    /// <returns>The short hash, with a + for uncommitted changes; empty outside a repository or without git.</returns>
    internal static string Current() => Ask("rev-parse", "--short=10", "HEAD") is { Length: > 0 } commit
        ? commit + (Ask("status", "--porcelain", "--untracked-files=no").Length > 0 ? "+" : "")
        : "";

    private static string Ask(params string[] arguments)
    {
        try
        {
            using var git = Process.Start(new ProcessStartInfo("git", ["-C", AppContext.BaseDirectory, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            var text = git.StandardOutput.ReadToEnd().Trim();
            git.WaitForExit();
            return git.ExitCode == 0 ? text : "";
        }
        catch (Win32Exception)
        {
            return "";
        }
    }
}
