using VmShunt.Perf.Mutants;
using VmShunt.Tests.Architecture;

namespace VmShunt.Tests.Perf;

/// <summary>The mutants of tests/Mutants: each applies, names tests and a row that exist, and the maps show what was killed.</summary>
public class MutantTests
{
    private static readonly IReadOnlyList<Mutant> s_mutants = Mutant.All(Sources.Root);

    private const string Text = "file: a.cs\nrows: P01, 2.7.9\ntests: A_test, Another_test\nruns: 20\n--- replace\none\ntwo\n--- by\nthree\n";

    [Fact]
    public void Each_mutant_applies_to_its_file_once() =>
        Assert.All(s_mutants, static mutant => Assert.NotEqual(Source(mutant), mutant.ApplyTo(Source(mutant))));

    [Fact]
    public void Each_mutant_belongs_to_a_row_of_a_map_that_names_one_of_its_tests()
    {
        var rows = MutantMaps.Pages.SelectMany(static page => File.ReadLines(PathOf(page))).Select(MutantMaps.Cells).Where(static cells => cells.Count > 0).ToList();
        Assert.Equal([], s_mutants.Where(mutant => !rows.Exists(cells => MutantMaps.Of(cells, [mutant]).Any())).Select(static mutant => mutant.Name));
    }

    [Fact]
    public void Each_test_that_a_mutant_names_exists()
    {
        var tests = string.Join('\n', Sources.Texts("tests"));
        Assert.Equal([], s_mutants.SelectMany(static mutant => mutant.Tests).Distinct().Where(test => !tests.Contains($" {test}(", StringComparison.Ordinal)));
    }

    [Fact]
    public void The_maps_show_the_mutants_that_were_killed()
    {
        var results = MutantResults.Read(Sources.Root, s_mutants);
        Assert.All(MutantMaps.Pages, page => Assert.True(
            MutantMaps.Write(File.ReadAllText(PathOf(page)), s_mutants, results) == File.ReadAllText(PathOf(page)), $"{page}: run 'perf mutants --maps'"));
    }

    [Fact]
    public void A_mutant_is_read_from_its_text()
    {
        var mutant = Mutant.Parse("name", Text);
        Assert.Equal(("a.cs", 20, "one\ntwo", "three"), (mutant.File, mutant.Runs, mutant.Old, mutant.New));
        Assert.Equal(["P01", "2.7.9"], mutant.Rows);
        Assert.Equal(["A_test", "Another_test"], mutant.Tests);
        Assert.Equal("zero\nthree\nfour", mutant.ApplyTo("zero\none\ntwo\nfour"));
        Assert.Throws<FormatException>(() => mutant.ApplyTo("one"));
        Assert.Throws<FormatException>(() => mutant.ApplyTo("one\ntwo\none\ntwo"));
        Assert.Throws<FormatException>(() => Mutant.Parse("name", "file: a.cs\n"));
    }

    [Fact]
    public void A_row_shows_its_killed_mutants_and_keeps_a_definition()
    {
        var mutant = Mutant.Parse("sharp", Text);
        const string page = "| row | test |\n|---|---|\n| P01 | `A_test` |\n| P02 | `A_test` |\n| 2.7.9, 2.7.10 | `Another_test` | definition: nothing to falsify |\n\ntext";
        var killed = new MutantResult("sharp", mutant.Content, "2026-11-30", MutantVerdict.Killed, MutantResult.Works, "");
        var written = MutantMaps.Write(page, [mutant], new Dictionary<string, MutantResult> { ["sharp"] = killed });
        Assert.Equal(
            "| row | test | mutant |\n|---|---|---|\n| P01 | `A_test` | `sharp` 2026-11-30 |\n| P02 | `A_test` | – |\n| 2.7.9, 2.7.10 | `Another_test` | definition: nothing to falsify |\n\ntext",
            written);
        Assert.Equal(written, MutantMaps.Write(written, [mutant], new Dictionary<string, MutantResult> { ["sharp"] = killed }));
        Assert.Contains("| P01 | `A_test` | – |", MutantMaps.Write(page, [mutant], new Dictionary<string, MutantResult>()), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Assert.Equal() Failure: Values differ", true)]
    [InlineData("round 3: neither end saw the other; seed 1", true)]
    [InlineData("System.TimeoutException : the guest does not answer", true)]
    [InlineData("CsCheck.CsCheckException : Set seed: \"0\"", true)]
    [InlineData("System.NullReferenceException : Object reference not set", false)]
    [InlineData("VmShunt.Perf.Lifecycle.Processes.GuestException : cmp exited with 1", true)]
    [InlineData("VmShunt.Perf.Launch.LaunchException : the guest exited", false)]
    public void A_failure_by_an_assertion_is_told_from_an_exception(string message, bool isAssertion) => Assert.Equal(isAssertion, MutantRun.IsAssertion(message));

    private static string Source(Mutant mutant) => File.ReadAllText(Path.Combine(Sources.Root, mutant.File));

    private static string PathOf(string page) => Path.Combine(Sources.Root, "docs", page);
}
