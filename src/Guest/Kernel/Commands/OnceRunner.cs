using System.Text.Json.Nodes;
using VmShunt.Guest.Firmware.Boot;
using VmShunt.Terminal;

namespace VmShunt.Guest.Commands;

/// <summary>Starts a kernel for one command from the shell and prints the answer, human-readable or as JSON.</summary>
internal sealed class OnceRunner(BootParameters boot, Func<KernelOptions> options, Func<bool> asJson) : ICommandRunner
{
    /// <summary>Starts the kernel.</summary>
    internal CommandSession Start() => new(Kernel.Start(boot, options()));

    public bool AnswersAsJson => asJson();

    public int Run(string name, Func<CommandSession, JsonObject> action)
    {
        using var session = Start();
        var answer = session.Watch(action);
        if (asJson()) OutputLine.Write(answer.ToJsonString());
        else Show(answer);
        return 0;
    }

    private static void Show(JsonObject answer)
    {
        if (answer["text"] is { } text) OutputLine.Write(text.ToString());
        else foreach (var (key, value) in answer) OutputLine.Write($"{key}: {value?.ToString() ?? "-"}");
    }
}
