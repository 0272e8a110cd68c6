namespace VmShunt.EndToEnd.Processes;

/// <summary>Every test here runs several processes that want the whole machine: one test at a time.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class ProcessCollection : ICollectionFixture<OwnDisk>
{
    /// <summary>The collection's name.</summary>
    public const string Name = "processes";
}
