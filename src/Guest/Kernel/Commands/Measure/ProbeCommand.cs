using System.CommandLine;
using System.Text.Json.Nodes;
using VmShunt.Guest.Workloads;

namespace VmShunt.Guest.Commands.Measure;

/// <summary><c>probe</c>: runs an application that looks for disks and uses each that it finds.</summary>
internal static class ProbeCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var requests = new Option<int>("--requests") { DefaultValueFactory = _ => 100, Description = "how many reads of each disk found" };
        requests.Validators.Add(r =>
        {
            if (r.GetValue(requests) is < 0 or > 1_000_000) r.AddError("--requests takes 0 to 1000000");
        });
        var command = new Command("probe", "run an application that looks for disks in every way, uses each that it finds, and count what that costs the shunt") { requests };
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
