using System.CommandLine;
using VmShunt.Terminal;

namespace VmShunt.Tests.Terminal;

public sealed class StrictValuesTests
{
    private enum Choice
    {
        First,
        Second,
    }

    [Theory]
    [InlineData("--seconds 1.5 --count 3 --big 18446744073709551615 --seed -7 --choice second", null)]
    [InlineData("--seconds 1,5", "--seconds takes a number such as 1.5; '1,5' is none")]
    [InlineData("--seconds inf", "'inf' is none")]
    [InlineData("--seconds NaN", "'NaN' is none")]
    [InlineData("--seconds 1e9", "'1e9' is none")]
    [InlineData("--seconds 10s", "'10s' is none")]
    [InlineData("--seconds \" 1\"", "' 1' is none")]
    [InlineData("--count 1.0", "--count takes a whole number; '1.0' is none")]
    [InlineData("--count 2147483648", "'2147483648' is none, or is too large")]
    [InlineData("--count 0x10", "'0x10' is none")]
    [InlineData("--big -1", "'-1' is none")]
    [InlineData("--choice 1", "--choice takes first, second; '1' is none of them")]
    [InlineData("--choice first,second", "'first,second' is none of them")]
    [InlineData("--count 11", "at most 10")]
    public void A_value_is_a_number_or_a_name_as_written_or_an_error_that_names_the_option(string arguments, string? error)
    {
        var parsed = Build(out var seconds, out _).Parse(arguments);
        if (error is null)
        {
            Assert.Empty(parsed.Errors);
            Assert.Equal(1.5, parsed.GetValue(seconds));
        }
        else
        {
            Assert.Contains(parsed.Errors, found => found.Message.Contains(error, StringComparison.Ordinal));
        }
    }

    [Fact]
    public void A_validator_of_the_command_is_not_asked_about_a_value_that_cannot_be_read()
    {
        var root = Build(out _, out var count);
        Assert.Single(root.Parse("--count x").Errors);
        Assert.Equal(0, root.Parse("").GetValue(count));
    }

    private static RootCommand Build(out Option<double> seconds, out Option<int> count)
    {
        var (s, c) = (new Option<double>("--seconds"), new Option<int>("--count"));
        c.Validators.Add(result =>
        {
            if (result.GetValue(c) > 10) result.AddError("at most 10");
        });
        var root = new RootCommand { s, c, new Option<ulong?>("--big"), new Option<long>("--seed"), new Option<Choice>("--choice") };
        root.Validators.Add(result =>
        {
            if (result.GetValue(c) == 5) result.AddError("not 5");
        });
        StrictValues.Apply(root);
        (seconds, count) = (s, c);
        return root;
    }
}
