using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Numerics;

namespace VmShunt.Terminal;

/// <summary>
/// Makes every option of a command line strict: a number is digits with a sign and a decimal point at most ("1,5" is none), in
/// every culture; a choice is one of its names; and a validator sees only values that could be read.
/// </summary>
public static class StrictValues
{
    /// <summary>Makes the options of a command and of its subcommands strict.</summary>
    public static void Apply(Command command)
    {
        ArgumentNullException.ThrowIfNull(command);
        GuardAll(command.Validators);
        foreach (var option in command.Options)
        {
            GuardAll(option.Validators);
            UseStrictParser(option);
            if ((Nullable.GetUnderlyingType(option.ValueType) ?? option.ValueType).IsEnum) option.Validators.Add(RequireName);
        }
        foreach (var subcommand in command.Subcommands) Apply(subcommand);
    }

    private static void UseStrictParser(Option option)
    {
        switch (option)
        {
            case Option<int> number: number.CustomParser ??= Parse<int>; break;
            case Option<int?> number: number.CustomParser ??= ParseIfGiven<int>; break;
            case Option<long> number: number.CustomParser ??= Parse<long>; break;
            case Option<long?> number: number.CustomParser ??= ParseIfGiven<long>; break;
            case Option<ulong> number: number.CustomParser ??= Parse<ulong>; break;
            case Option<ulong?> number: number.CustomParser ??= ParseIfGiven<ulong>; break;
            case Option<double> number: number.CustomParser ??= Parse<double>; break;
            case Option<double?> number: number.CustomParser ??= ParseIfGiven<double>; break;
        }
    }

    private static T? ParseIfGiven<T>(ArgumentResult result)
        where T : struct, INumber<T> => result.Tokens.Count == 0 ? null : Parse<T>(result);

    private static T Parse<T>(ArgumentResult result)
        where T : struct, INumber<T>
    {
        var text = result.Tokens.Count == 0 ? "" : result.Tokens[^1].Value;
        if (TryParse(text, out T value)) return value;
        var whole = typeof(T) == typeof(double) ? "a number such as 1.5" : "a whole number";
        result.AddError($"{NameOf(result)} takes {whole}; '{text}' is none, or is too large");
        return default;
    }

    /// <summary>Reads a number as the command lines do.</summary>
    public static bool TryParse<T>(string? text, out T value)
        where T : struct, INumber<T>
    {
        var styles = NumberStyles.AllowLeadingSign | (typeof(T) == typeof(double) ? NumberStyles.AllowDecimalPoint : 0);
        return T.TryParse(text, styles, CultureInfo.InvariantCulture, out value) && T.IsFinite(value);
    }

    // Enum.Parse reads numbers and lists, too.
    private static void RequireName(OptionResult result)
    {
        foreach (var token in result.Tokens)
        {
            if (token.Value.All(static letter => char.IsAsciiLetter(letter) || letter == '-')) continue;
            result.AddError($"{result.Option.Name} takes {string.Join(", ", Enum.GetNames(Nullable.GetUnderlyingType(result.Option.ValueType) ?? result.Option.ValueType)).ToLowerInvariant()}; '{token.Value}' is none of them");
        }
    }

    private static string NameOf(ArgumentResult result) => result.Parent is OptionResult option ? option.Option.Name : result.Argument.Name;

    private static void GuardAll<T>(IList<Action<T>> validators)
        where T : SymbolResult
    {
        for (var i = 0; i < validators.Count; i++)
        {
            var validator = validators[i];
            validators[i] = result =>
            {
                try
                {
                    validator(result);
                }
                catch (InvalidOperationException)
                {
                    // A value that could not be read; its own option reports it.
                }
            };
        }
    }
}
