using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.Json.Nodes;
using VmShunt.Terminal;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Commands.Shell;

/// <summary>
/// The machine's console: reads one command per line from standard input and answers each with one line of JSON on standard
/// output, until <c>quit</c> or the end of the input.
/// </summary>
internal static class ConsoleCommand
{
    internal static Command Build(OnceRunner runner)
    {
        var command = new Command("console", "boot, then read commands from standard input, one per line, and answer each with a line of JSON");
        command.SetAction(_ =>
        {
            using var session = runner.Start();
            OutputLine.Write($"ready mode={CommandSession.NameOf(session.Kernel.Mode)} boot={session.Kernel.Source.ToString().ToLowerInvariant()}");
            return new Loop(session).Run();
        });
        return command;
    }

    private sealed class Loop : ICommandRunner
    {
        private readonly CommandSession _session;
        private readonly RootCommand _commands = new("console");
        private string? _answer;
        private bool _hasQuit;

        internal Loop(CommandSession session)
        {
            _session = session;
            foreach (var command in CommandSet.Build(this)) _commands.Add(command);
            var quit = new Command("quit", "shut down and exit");
            quit.SetAction(_ => Run("quit", _ =>
            {
                _hasQuit = true;
                return CommandSession.Done;
            }));
            _commands.Add(quit);
        }

        internal int Run()
        {
            while (!_hasQuit && Console.ReadLine() is { } line)
            {
                if (string.IsNullOrWhiteSpace(line)) continue;
                var words = CommandLineParser.SplitCommandLine(line).ToArray();
                var parsed = _commands.Parse(words);
                _answer = null;
                if (parsed.Errors.Count > 0) _answer = Failure(words[0], string.Join("; ", parsed.Errors.Select(e => e.Message)));
                else parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
                if (_answer is not null) OutputLine.Write(_answer);
            }
            return 0;
        }

        public bool AnswersAsJson => true;

        public int Run(string name, Func<CommandSession, JsonObject> action)
        {
            try
            {
                var answer = new JsonObject { ["command"] = name, ["ok"] = true };
                foreach (var (key, value) in _session.Watch(action)) answer[key] = value?.DeepClone();
                _answer = answer.ToJsonString();
                return 0;
            }
            catch (Exception e) when (IsAnswer((e as AggregateException)?.InnerException ?? e))
            {
                _answer = Failure(name, (e as AggregateException)?.InnerException!.Message ?? e.Message);
                return 1;
            }
        }

        // A lost machine ends the console; every other error is an answer.
        private static bool IsAnswer(Exception e) => e is not (HypervisorLostException or MachineCheckException);

        private static string Failure(string name, string error) =>
            new JsonObject { ["command"] = name, ["ok"] = false, ["error"] = error }.ToJsonString();
    }
}
