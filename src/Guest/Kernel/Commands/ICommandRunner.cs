using System.Text.Json.Nodes;

namespace VmShunt.Guest.Commands;

/// <summary>How a parsed command gets a kernel and gives its answer: once from the shell, or again and again on the console.</summary>
internal interface ICommandRunner
{
    /// <summary>Whether answers are JSON; what ends the machine gives its answer itself.</summary>
    bool AnswersAsJson { get; }

    /// <summary>Runs a command and shows its answer.</summary>
    /// <param name="name">The command's name.</param>
    /// <param name="action">Does the work; an exception is the answer too. A person sees of an answer its <c>text</c>, where it has one.</param>
    /// <returns>The exit code.</returns>
    int Run(string name, Func<CommandSession, JsonObject> action);
}
