using System.CommandLine;

namespace VmShunt.Guest.Commands.Disk;

/// <summary><c>flush</c>: makes completed writes durable.</summary>
internal static class FlushCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var stack = StackOption.Create();
        var command = new Command("flush", "make every completed write durable") { stack };
        command.SetAction(r => runner.Run("flush", session =>
        {
            session.Disk(r.GetValue(stack)).FlushAsync().AsTask().GetAwaiter().GetResult();
            return CommandSession.Done;
        }));
        return command;
    }
}
