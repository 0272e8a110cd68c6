using System.CommandLine;
using System.Text.Json.Nodes;
using VmShunt.Guest.Devices;

namespace VmShunt.Guest.Commands.Disk;

/// <summary><c>devices</c>: lists the devices that an application can find.</summary>
internal static class DevicesCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var command = new Command("devices", "list the devices that an application can find; without a disk that the shunt hides");
        command.SetAction(_ => runner.Run("devices", session =>
        {
            var devices = session.Devices;
            return new JsonObject
            {
                ["devices"] = new JsonArray([.. devices.Enumerate().Select(Describe)]),
                ["suppressedQueries"] = devices.SuppressedQueries,
            };
        }));
        return command;
    }

    private static JsonNode Describe(DeviceInfo device) => new JsonObject
    {
        ["name"] = device.Name,
        ["kind"] = device.Kind.ToString().ToLowerInvariant(),
        ["parent"] = device.Parent,
        ["description"] = device.Description,
    };
}
