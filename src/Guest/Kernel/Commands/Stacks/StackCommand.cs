using System.CommandLine;
using System.Text.Json.Nodes;
using VmShunt.Guest.Devices;

namespace VmShunt.Guest.Commands.Stacks;

/// <summary>
/// <c>stack build</c> and <c>stack drop</c>: an application builds itself an emulating stack, and takes it away;
/// <c>stack remove</c>: the kernel's own is taken away.
/// </summary>
internal static class StackCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var controller = new Option<string>("--controller") { DefaultValueFactory = _ => "ahci0", Description = "on which controller" };
        var build = new Command("build", "have an application build itself an emulating stack; other commands use it with --stack application") { controller };
        build.SetAction(r => runner.Run("stack", session =>
        {
            if (session.Stack is not null) throw new InvalidOperationException("an application has built a stack already; drop it first");
            var device = session.Devices.Open(r.GetValue(controller)!) as ControllerDevice
                ?? throw new InvalidOperationException($"{r.GetValue(controller)} is no controller");
            session.Stack = device.BuildStack();
            return new JsonObject { ["drivesPort"] = session.Stack.DrivesPort };
        }));

        var drop = new Command("drop", "take the application's stack away; requests inside end first");
        drop.SetAction(_ => runner.Run("stack", session =>
        {
            if (session.Stack is not { } stack) throw new InvalidOperationException("no application has built a stack");
            session.Stack = null;
            stack.Dispose();
            return CommandSession.Done;
        }));

        var remove = new Command("remove", "take the kernel's emulating stack away, in enlightened mode; requests inside end first. No dump can be written then");
        remove.SetAction(_ => runner.Run("stack", session =>
        {
            session.Stacks.RemoveEmulating();
            return CommandSession.Done;
        }));
        return new Command("stack", "build, drop and remove emulating stacks") { build, drop, remove };
    }
}
