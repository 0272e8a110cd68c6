using System.CommandLine;
using System.Text.Json.Nodes;
using VmShunt.Guest.Devices;

namespace VmShunt.Guest.Commands.Stacks;

/// <summary>
/// <c>stack build</c> and <c>stack drop</c>: an application builds an emulating stack, and removes it;
/// <c>stack remove</c>: removes the kernel's emulating stack.
/// </summary>
internal static class StackCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var controller = new Option<string>("--controller") { DefaultValueFactory = _ => "ahci0", Description = "the controller to build it on" };
        var build = new Command("build", "build an emulating stack as an application does; other commands use it with --stack application") { controller };
        build.SetAction(r => runner.Run("stack", session =>
        {
            if (session.Stack is not null) throw new InvalidOperationException("an application has built a stack already; remove it with: stack drop");
            var device = session.Devices.Open(r.GetValue(controller)!) as ControllerDevice
                ?? throw new InvalidOperationException($"{r.GetValue(controller)} is not a controller");
            session.Stack = device.BuildStack();
            return new JsonObject { ["drivesPort"] = session.Stack.DrivesPort };
        }));

        var drop = new Command("drop", "remove the application's stack, once its requests have completed");
        drop.SetAction(_ => runner.Run("stack", session =>
        {
            if (session.Stack is not { } stack) throw new InvalidOperationException("no application has built a stack");
            session.Stack = null;
            stack.Dispose();
            return CommandSession.Done;
        }));

        var remove = new Command("remove", "remove the kernel's emulating stack, in enlightened mode, once its requests have completed; no dump can be written then");
        remove.SetAction(_ => runner.Run("stack", session =>
        {
            session.Stacks.RemoveEmulating();
            return CommandSession.Done;
        }));
        return new Command("stack", "build, drop and remove emulating stacks") { build, drop, remove };
    }
}
