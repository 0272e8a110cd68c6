using System.CommandLine;
using VmShunt.Perf.Launch;

namespace VmShunt.Perf.Disks;

/// <summary>The command <c>make-disk</c>.</summary>
internal static class MakeDiskCommand
{
    internal static Command Build()
    {
        var path = new Argument<string>("file") { Description = "The image to create; the file must not exist." };
        var command = new Command("make-disk", "Creates the disk image that launch uses without --disk: boot, data and dump partitions.") { path };
        command.SetAction(parse =>
        {
            try
            {
                DefaultDisk.Make(parse.GetValue(path)!, AppContext.BaseDirectory, new LaunchOptions().MemoryBytes);
                return 0;
            }
            catch (LaunchException e)
            {
                Console.Error.WriteLine(e.Message);
                return 1;
            }
        });
        return command;
    }
}
