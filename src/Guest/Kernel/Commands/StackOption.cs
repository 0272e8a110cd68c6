using System.CommandLine;

namespace VmShunt.Guest.Commands;

/// <summary>The <c>--stack</c> option, which says whose class driver a command uses.</summary>
internal static class StackOption
{
    /// <summary>By default the enlightened stack where there is one.</summary>
    internal static Option<string?> Create()
    {
        var stack = new Option<string?>("--stack") { Description = "emulating, enlightened, or application (the one that 'stack build' has built); by default the best there is" };
        stack.AcceptOnlyFromAmong("emulating", "enlightened", "application");
        return stack;
    }
}
