using System.CommandLine;

namespace VmShunt.Guest.Commands;

/// <summary>The <c>--stack</c> option: the stack that a command submits its requests to.</summary>
internal static class StackOption
{
    internal static Option<string?> Create()
    {
        var stack = new Option<string?>("--stack") { Description = "the stack to use: emulating, enlightened, or application (built with 'stack build'); by default enlightened if it exists, otherwise emulating" };
        stack.AcceptOnlyFromAmong("emulating", "enlightened", "application");
        return stack;
    }
}
