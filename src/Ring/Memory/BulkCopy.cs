namespace VmShunt.Ring.Memory;

/// <summary>
/// Copies of a page and more, which mostly miss the caches on one side: the processor's own string move does not read the
/// target first, as a loop of stores does, and so moves a third less. Shorter ones are a loop's. Zeros are copied, too:
/// what a copy finds gone ends the copy and not the process.
/// </summary>
public static unsafe class BulkCopy
{
    private const int FromBytes = 2048;

    // Small enough to stay in the nearest cache.
    private static readonly byte[] s_zeros = new byte[4096];

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

    /// <summary>Fills memory with zeros.</summary>
    /// <param name="target">The bytes.</param>
    /// <exception cref="IOException">Memory is gone: a file behind it was cut short.</exception>
    public static void Clear(Span<byte> target)
    {
        if (!GuardedCopy.IsSupported)
        {
            target.Clear();
            return;
        }
        fixed (byte* to = target, zeros = s_zeros)
        {
            for (var done = 0; done < target.Length; done += s_zeros.Length)
            {
                if (!GuardedCopy.TryCopy(to + done, zeros, (nuint)Math.Min(s_zeros.Length, target.Length - done))) throw new IOException("memory that is being cleared is gone");
            }
        }
    }
}
