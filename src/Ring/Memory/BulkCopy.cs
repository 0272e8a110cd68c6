namespace VmShunt.Ring.Memory;

/// <summary>
/// Copies and clears of large buffers. From half a page on, "rep movsb" is faster than a loop of stores: most lines miss the
/// cache, and it does not read the target first, which saves a third of the memory traffic. Clearing copies zeros, because
/// only a guarded copy survives a page that cannot be accessed.
/// </summary>
public static class BulkCopy
{
    private const int FromBytes = 2048;

    // Small enough to stay in the first-level cache.
    private static readonly byte[] s_zeros = new byte[4096];

    /// <summary>
    /// Why copies are not guarded here, to follow "because"; null if they are. Without the guard a file is not read through a
    /// mapping, and a page that cannot be accessed ends the process.
    /// </summary>
    public static string? Unguarded => GuardedCopy.Refusal;

    /// <summary>The copy of this machine, for messages: guarded or plain, with prefetching or without.</summary>
    public static string Description =>
        GuardedCopy.CanPrefetch ? "guarded copy with prefetch"
        : GuardedCopy.IsSupported ? "guarded copy without prefetch, because the processor has no AVX"
        : $"plain copy, because {GuardedCopy.Refusal}";

    /// <summary>Copies all of the source. The two must not overlap.</summary>
    /// <param name="source">The bytes.</param>
    /// <param name="target">At least as long.</param>
    /// <param name="isGuarded">Whether short copies are guarded, too, for memory that may be taken away.</param>
    /// <exception cref="IOException">A page cannot be accessed: the file behind it was truncated, or its device failed.</exception>
    public static void Copy(ReadOnlySpan<byte> source, Span<byte> target, bool isGuarded = false)
    {
        if ((source.Length < FromBytes && !isGuarded) || !GuardedCopy.IsSupported) source.CopyTo(target);
        else if (!GuardedCopy.TryCopy(target[..source.Length], source)) throw GuardedCopy.Failure();
    }

    /// <summary>Fills memory with zeros.</summary>
    /// <param name="target">The bytes.</param>
    /// <exception cref="IOException">A page cannot be accessed: the file behind it was truncated, or its device failed.</exception>
    public static void Clear(Span<byte> target)
    {
        if (!GuardedCopy.IsSupported)
        {
            target.Clear();
            return;
        }
        while (!target.IsEmpty)
        {
            var here = target[..Math.Min(s_zeros.Length, target.Length)];
            if (!GuardedCopy.TryCopy(here, s_zeros.AsSpan(0, here.Length))) throw GuardedCopy.Failure();
            target = target[here.Length..];
        }
    }
}
