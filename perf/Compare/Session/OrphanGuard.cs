using System.Diagnostics;
using System.Globalization;

namespace VmShunt.Perf.Compare.Session;

/// <summary>
/// Kills the child processes if this process is killed: a shell that reads their ids and kills them when its input closes
/// without "done". Without it, children that are stopped (SIGSTOP) would stay forever.
/// </summary>
internal sealed class OrphanGuard : IDisposable
{
    private const string Script = """
        trap '' HUP INT TERM
        ids=
        while read -r word; do
            case $word in
                +*) ids="$ids ${word#+}" ;;
                -*) rest=; for id in $ids; do [ "$id" = "${word#-}" ] || rest="$rest $id"; done; ids=$rest ;;
                done) exit 0 ;;
            esac
        done
        [ -z "$ids" ] || kill -KILL $ids
        """;

    private readonly Process _shell = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", Script]) { RedirectStandardInput = true, RedirectStandardError = true })!;

    internal void Watch(int processId) => Say(string.Create(CultureInfo.InvariantCulture, $"+{processId}"));

    /// <summary>The process exits on its own or has exited.</summary>
    internal void Forget(int processId) => Say(string.Create(CultureInfo.InvariantCulture, $"-{processId}"));

    public void Dispose()
    {
        Say("done");
        try
        {
            _shell.Dispose();
        }
        catch (IOException)
        {
            // It closes the shell's input, which the shell has not read to its end.
        }
    }

    private void Say(string word)
    {
        lock (_shell)
        {
            try
            {
                _shell.StandardInput.WriteLine(word);
                _shell.StandardInput.Flush();
            }
            catch (IOException)
            {
                // The shell was killed: this process cleans up, or what kills it kills its children, too.
            }
        }
    }
}
