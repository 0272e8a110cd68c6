using System.CommandLine;
using System.Text.Json.Nodes;
using VmShunt.Guest.Workloads;

namespace VmShunt.Guest.Commands.Measure;

/// <summary><c>probe</c>: runs an application that searches for disks and uses each one it finds.</summary>
internal static class ProbeCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var requests = new Option<int>("--requests") { DefaultValueFactory = _ => 100, Description = "the number of reads per disk found" };
        requests.Validators.Add(r =>
        {
            if (r.GetValue(requests) is < 0 or > 1_000_000) r.AddError("--requests takes 0 to 1000000");
        });
        var command = new Command("probe", "run an application that searches for disks by every means and reads each one it finds; show the requests and queries that the shunt handled") { requests };
        command.SetAction(r => runner.Run("probe", session =>
        {
            var devices = session.Devices;
            var (shunted, suppressed) = (session.Kernel.Shunt!.Counters.Diverted, devices.SuppressedQueries);
            var found = new ProbingApplication(devices, session.Kernel.Pages, r.GetValue(requests)).Run();
            return new JsonObject
            {
                ["listed"] = Names(found.Listed),
                ["named"] = Names(found.Named),
                ["registers"] = Names(found.Registers),
                ["requests"] = found.Requests,
                ["shunted"] = session.Kernel.Shunt.Counters.Diverted - shunted,
                ["suppressedQueries"] = devices.SuppressedQueries - suppressed,
            };
        }));
        return command;
    }

    private static JsonArray Names(IReadOnlyList<string> names) => new([.. names.Select(name => (JsonNode)name)]);
}
