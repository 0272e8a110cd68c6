namespace VmShunt.Ring.Memory;

/// <summary>
/// Copies of a page and more, which mostly miss the caches on one side: the processor's own string move does not read the
/// target first, as a loop of stores does, and so moves a third less. Shorter ones are a loop's.
/// </summary>
public static unsafe class BulkCopy
{
    private const int FromBytes = 2048;

    /// <summary>Copies all of the source. The two do not overlap.</summary>
    /// <param name="source">The bytes.</param>
    /// <param name="target">At least as long.</param>
    /// <exception cref="IOException">Memory on one side is gone: a file behind it was cut short.</exception>
    public static void Copy(ReadOnlySpan<byte> source, Span<byte> target)
    {
        if (source.Length < FromBytes || !GuardedCopy.IsSupported)
        {
            source.CopyTo(target);
            return;
        }
        fixed (byte* from = source, to = target[..source.Length])
        {
            if (!GuardedCopy.TryCopy(to, from, (nuint)source.Length)) throw new IOException("memory that is being copied is gone");
        }
    }
}
