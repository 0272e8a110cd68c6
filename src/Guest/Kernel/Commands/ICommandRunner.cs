using System.Text.Json.Nodes;

namespace VmShunt.Guest.Commands;

/// <summary>Runs parsed commands on a kernel and shows their answers: one command from the shell, or many on the console.</summary>
internal interface ICommandRunner
{
    /// <summary>Whether answers are JSON. The crash command, which ends the process, needs it to write its own answer.</summary>
    bool AnswersAsJson { get; }

    /// <summary>Runs a command and shows its answer.</summary>
    /// <param name="name">The command's name.</param>
    /// <param name="action">Does the work. An exception becomes an error answer. In human-readable form, an answer with a <c>text</c> shows only that.</param>
    /// <returns>The exit code.</returns>
    int Run(string name, Func<CommandSession, JsonObject> action);
}
