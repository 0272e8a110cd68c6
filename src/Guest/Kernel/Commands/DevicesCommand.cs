using System.CommandLine;
using System.Text.Json.Nodes;
using VmShunt.Guest.Devices;

namespace VmShunt.Guest.Commands;

/// <summary><c>devices</c>: the devices as an application finds them.</summary>
internal static class DevicesCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var command = new Command("devices", "list the devices that an application finds; a disk that the shunt hides is not among them");
        command.SetAction(_ => runner.Run("devices", session =>
        {
            var devices = Of(session);
            return new JsonObject
            {
                ["devices"] = new JsonArray([.. devices.Enumerate().Select(Describe)]),
                ["suppressedQueries"] = devices.SuppressedQueries,
            };
        }));
        return command;
    }

    /// <summary>The guest's devices.</summary>
    /// <exception cref="InvalidOperationException">It has no machine.</exception>
    internal static DeviceTree Of(Session session) =>
        session.Kernel.Devices ?? throw new InvalidOperationException("this guest has no machine, and so no devices: it was started with --bus");

    private static JsonNode Describe(DeviceInfo device) => new JsonObject
    {
        ["name"] = device.Name,
        ["kind"] = device.Kind.ToString().ToLowerInvariant(),
        ["parent"] = device.Parent,
        ["description"] = device.Description,
    };
}
