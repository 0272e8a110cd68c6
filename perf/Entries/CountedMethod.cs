namespace VmShunt.Perf.Entries;

/// <summary>A method whose entries are counted.</summary>
/// <param name="Name">Type and method.</param>
/// <param name="File">The source file, relative to the repository that the assembly was built in.</param>
/// <param name="IsAccessor">Whether it is a property's getter or setter.</param>
internal sealed record CountedMethod(string Name, string File, bool IsAccessor);
