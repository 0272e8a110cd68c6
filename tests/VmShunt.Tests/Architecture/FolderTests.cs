using VmShunt.Perf.House;

namespace VmShunt.Tests.Architecture;

/// <summary>The folders of src as the assemblies show them: each has a rank, and uses lower ranks only.</summary>
public class FolderTests
{
    // Read once for all tests here: it opens every assembly.
    private static readonly Lazy<FolderGraph> s_graph = new(static () => FolderGraph.Read(HouseFiles.Assemblies(AppContext.BaseDirectory), Sources.Root));

    [Fact]
    public void Every_folder_has_a_rank_and_every_rank_a_folder()
    {
        var folders = s_graph.Value.Folders.ToHashSet();
        Assert.Equal([], folders.Except(Ranks.Of.Keys));
        Assert.Equal([], Ranks.Of.Keys.Except(folders));
    }

    [Fact]
    public void A_folder_uses_lower_ranks_only()
    {
        var ranks = Ranks.Of;
        Assert.Equal([], s_graph.Value.Uses
            .Where(use => ranks.GetValueOrDefault(use.To, int.MaxValue) >= ranks.GetValueOrDefault(use.From, int.MinValue))
            .Select(static use => $"{use.From} uses {use.To} through {string.Join(", ", use.Through.Take(3))}"));
    }

    [Fact]
    public void No_folders_use_each_other_in_a_circle()
    {
        Assert.Equal([], s_graph.Value.Cycles().Select(static cycle => string.Join(", ", cycle)));
        Assert.InRange(s_graph.Value.Types, 400, int.MaxValue);
    }

    [Fact]
    public void Every_folder_of_src_has_its_folder_of_tests()
    {
        var tested = Sources.Under("tests/VmShunt.Tests")
            .Where(static file => file.Path.EndsWith("Tests.cs", StringComparison.Ordinal))
            .Select(static file => Path.GetDirectoryName(file.Path)!["tests/VmShunt.Tests/".Length..])
            .ToHashSet();
        Assert.Equal([], Ranks.Of.Keys.Select(static folder => folder["src/".Length..]).Where(folder => !tested.Contains(folder)));
    }
}
