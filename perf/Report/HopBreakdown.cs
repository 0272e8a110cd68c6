namespace VmShunt.Perf.Report;

/// <summary>One road's request taken apart.</summary>
/// <param name="Road">trap or ring.</param>
/// <param name="Microseconds">The whole, measured by itself. Parts that are less than nothing for noise count as none, so they may add up to more.</param>
/// <param name="Hops">In the order of the request's way.</param>
internal sealed record HopBreakdown(string Road, double Microseconds, IReadOnlyList<HopShare> Hops);

/// <param name="Name">Where the time goes.</param>
/// <param name="Microseconds">How much.</param>
/// <param name="Derived">Which measurements it follows from.</param>
internal sealed record HopShare(string Name, double Microseconds, string Derived);
