using System.CommandLine.Parsing;

namespace VmShunt.Terminal;

/// <summary>What a validator of a command line has found.</summary>
public static class OptionCheck
{
    /// <summary>Refuses the command line unless a condition holds.</summary>
    /// <param name="condition">The condition.</param>
    /// <param name="result">The option or the command that is checked.</param>
    /// <param name="message">What is wrong, for the user.</param>
    public static void Require(bool condition, SymbolResult result, string message)
    {
        ArgumentNullException.ThrowIfNull(result);
        if (!condition) result.AddError(message);
    }
}
