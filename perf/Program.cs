using System.CommandLine;
using VmShunt.Perf.Bench;
using VmShunt.Perf.Compare;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Ends;
using VmShunt.Perf.Entries;
using VmShunt.Perf.House;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Launch.Tracing;
using VmShunt.Perf.Lifecycle;
using VmShunt.Perf.Mutants;
using VmShunt.Terminal;

var root = new RootCommand("Starts VM-H (host server), the hypervisor and VM-C (guest) as three processes on a disk, measures every path to the disk, and checks a crash dump. Takes about a minute; --quick is shorter.");
LaunchCommand.AddTo(root);

var launch = new Command("launch", "Same as without a command.");
LaunchCommand.AddTo(launch);
root.Subcommands.Add(launch);

root.Subcommands.Add(TraceCommand.Build());
root.Subcommands.Add(CompareCommand.Build());
root.Subcommands.Add(BenchmarkCommand.Build());
root.Subcommands.Add(PeerCommand.Build());
root.Subcommands.Add(HouseCommand.Build());
root.Subcommands.Add(EntriesCommand.Build());
root.Subcommands.Add(MutantsCommand.Build());
root.Subcommands.Add(LifecycleCommand.Build());
root.Subcommands.Add(MakeDiskCommand.Build());

return await CommandLineRun.InvokeAsync("vmshunt-perf", root, args);
