using System.CommandLine;
using VmShunt.Ring.Memory;

namespace VmShunt.Perf.Ends;

/// <summary>
/// <c>peer</c>, which this program starts itself with: the other end of a round trip in the given shared memory, until
/// standard input closes (which it also does when the parent is killed).
/// </summary>
internal static class PeerCommand
{
    internal const string Name = "peer";

    internal static Command Build()
    {
        var work = new Argument<PeerWork>("work");
        var memory = new Argument<string>("memory");
        var command = new Command(Name, "The other end of a round trip between processes.") { work, memory };
        command.Hidden = true;
        command.SetAction(parse => Run(parse.GetValue(work), parse.GetValue(memory)!));
        return command;
    }

    private static int Run(PeerWork work, string path)
    {
        using var memory = RingMemory.Open(path);
        var stopping = new SharedFlag();
        var watch = new Thread(() =>
        {
            while (Console.In.Read() >= 0)
            {
            }
            stopping.Raise();
        })
        { IsBackground = true, Name = "parent" };
        watch.Start();
        Console.WriteLine("ready");
        work.Run(memory, stopping);
        return 0;
    }
}
