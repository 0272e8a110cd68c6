using System.CommandLine;

namespace VmShunt.Guest.Commands;

/// <summary><c>flush</c>: makes what was written durable.</summary>
internal static class FlushCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var stack = CommandSet.StackOption();
        var command = new Command("flush", "make every completed write durable") { stack };
        command.SetAction(r => runner.Run("flush", session =>
        {
            session.Disk(r.GetValue(stack)).FlushAsync().AsTask().GetAwaiter().GetResult();
            return Session.Done;
        }));
        return command;
    }
}
