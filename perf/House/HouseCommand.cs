using System.CommandLine;

namespace VmShunt.Perf.House;

/// <summary><c>architecture</c>: draws which folder of <c>src</c> uses which, from the assemblies beside this program.</summary>
internal static class HouseCommand
{
    internal static Command Build()
    {
        var file = new Argument<string>("file") { Description = "The SVG file to write." };
        var command = new Command("architecture", "Draws which folder of src uses which, from the built assemblies.") { file };
        command.SetAction(parse =>
        {
            var graph = FolderGraph.Read(HouseFiles.Assemblies(AppContext.BaseDirectory), HouseFiles.Root);
            foreach (var cycle in graph.Cycles()) Console.Error.WriteLine($"these folders use each other, so they have no levels to draw: {string.Join(", ", cycle)}");
            if (graph.Cycles().Count > 0) return 1;
            File.WriteAllText(parse.GetValue(file)!, FolderPicture.Draw(graph));
            Console.WriteLine($"{graph.Types} types, {graph.Folders.Count()} folders, {graph.Uses.Count()} uses, {graph.Cycles().Count} cycles");
            return 0;
        });
        return command;
    }
}
