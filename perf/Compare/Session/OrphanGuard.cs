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
        trap '' INT
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
        _shell.Dispose();
    }

    private void Say(string word)
    {
        lock (_shell)
        {
            _shell.StandardInput.WriteLine(word);
            _shell.StandardInput.Flush();
        }
    }
}
