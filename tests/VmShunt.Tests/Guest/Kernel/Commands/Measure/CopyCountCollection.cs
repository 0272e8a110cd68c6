namespace VmShunt.Tests.Guest.Kernel.Commands.Measure;

/// <summary>Copies are counted for the whole process, as a guest is one: no other test runs meanwhile.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class CopyCountCollection
{
    /// <summary>The collection's name.</summary>
    public const string Name = "counted copies";
}
