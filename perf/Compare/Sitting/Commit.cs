using System.ComponentModel;
using System.Diagnostics;

namespace VmShunt.Perf.Compare.Sitting;

/// <summary>Which source was measured, as far as git knows.</summary>
internal static class Commit
{
    /// <returns>The short commit, with a + when files differ from it; empty where this is no repository, or there is no git.</returns>
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
