namespace VmShunt.Perf.Mutants;

/// <summary>What became of a mutant.</summary>
internal enum MutantVerdict
{
    /// <summary>Every test that it names failed by an assertion, each time.</summary>
    Killed,

    /// <summary>A test that it names passed.</summary>
    Survived,

    /// <summary>A test failed by an exception that no assertion expected.</summary>
    Threw,

    /// <summary>The tests did not end within the limit.</summary>
    Hung,

    /// <summary>The change does not compile, or its text is no longer there.</summary>
    Unbuildable,
}
