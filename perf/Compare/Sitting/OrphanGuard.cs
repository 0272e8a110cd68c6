using System.Diagnostics;
using System.Globalization;

namespace VmShunt.Perf.Compare.Sitting;

/// <summary>
/// Ends what was started should this process be killed: a shell that reads process ids, and kills them when its input
/// ends without a word. Processes that were stopped (SIGSTOP) would otherwise stay for ever.
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

    /// <summary>The process ends by itself, or has.</summary>
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
